"""Bayesian optimisation over a domain: the proposal of the next point, from the observations of a study."""

from __future__ import annotations

import functools
import random
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from nas.sampling.acquisition import expected_hypervolume_improvement, expected_improvement, spread_out
from nas.sampling.columns import Columns
from nas.sampling.history import History, Observation
from nas.sampling.points import Domain, Point
from nas.sampling.surrogate import GaussianProcess, Posterior, normal_scores
from nas.sampling.topologies import FeatureFunction
from nas.space import SearchSpace
from nas.study.pareto import pareto_rank

Array = NDArray[np.float64]

STARTUP = 3  # trials before the first model: each is far from all others
REMEMBERED = 400  # the most observations of a model: the best, and others from the whole course of the search
COST = 250_000  # the most pairs of a candidate and an observation for one proposal, in all models together
POOL = 1000  # candidates that are kept from one proposal to the next, where the domain is not enumerated
PARENTS = 20  # the best points, from which mutants are made
GROWN = 1.1  # kernel weights are fitted again when the observations have grown by this factor
PREDICTED = 0.5  # additional noise variance of a value that was predicted from a part of the training
DRAWN = 50  # random candidates, of which the farthest from all observations is tried before the first model
BELOW = 0.1  # the reference point of the hypervolume lies so far below the worst value, as a share of the range
FRONT = 40  # the most points of a front: the number of boxes grows with a power of it


class Optimizer:
    """The proposals for one study. It keeps candidates and models from one proposal to the next."""

    def __init__(self, study: Study, space: SearchSpace | None, features: FeatureFunction, rng: random.Random) -> None:
        self._rng = rng
        self._history = History(study, space, features)
        self._pool: Pool | None = None
        self._models: dict[str, Model] = {}

    def is_of(self, study: Study) -> bool:
        """Return whether the proposals are for this study."""
        return self._history.is_of(study)

    def propose(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the parameters of the next point; empty where no trial has parameters yet.

        proposed  trial number → the parameters that were proposed for a running trial
        """
        with _blas().limit(limits=1, user_api="blas"):
            return self._propose(study, proposed)

    def _propose(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
        running = self._history.read(study, proposed)
        domain = self._history.domain
        if domain is None:
            return {}
        if self._pool is None or self._pool.domain is not domain:
            self._pool, self._models = Pool(domain, self._rng), {}
        complete = self._history.complete()
        best = _best_first([one for one in complete if one.feasible])
        tried = {one.point.key: one.point for one in self._history} | {point.key: point for point in running}
        self._pool.refill([one.point for one in best[:PARENTS]], tried)
        if not self._pool:
            return domain.mutant({}, self._rng).params  # every point was tried
        if sum(one.whole for one in complete) < 2 or len(complete) + len(running) < STARTUP:
            return self._pool.farthest(list(tried.values())).params
        return self._most_promising(self._pool, _remembered(complete, best), running).params

    def _most_promising(self, pool: Pool, complete: Sequence[Observation], running: Sequence[Point]) -> Point:
        """Return the candidate of the largest expected improvement × probability to be feasible and to succeed."""
        scores = np.stack([_scores(column) for column in np.array([one.values for one in complete]).T], axis=1)
        posteriors = [self._objective(pool, place, complete, column) for place, column in enumerate(scores.T)]
        if running:
            posteriors = [posterior.believing(pool.columns.rows(running)) for posterior in posteriors]
        chosen = pool.some(max(200, COST // (len(complete) * len(posteriors))))
        x = pool.rows(chosen)
        value = self._probability(pool, x)
        settled = np.array([one.feasible for one in complete]) & np.isfinite(scores).all(1)
        if settled.any():
            known = pool.columns.rows([one.point for one, ok in zip(complete, settled, strict=True) if ok])
            value *= _improvement(posteriors, x, known, scores[settled])
        return pool.take(chosen, value)

    def _objective(self, pool: Pool, place: int, complete: Sequence[Observation], scores: Array) -> Posterior:
        """Return the posterior of one objective, from the observations in which it is known."""
        known = np.isfinite(scores)
        observations = [one for one, ok in zip(complete, known, strict=True) if ok]
        noise = np.array([0.0 if one.whole or place != one.curved else PREDICTED for one in observations])
        return self._posterior(pool, f"objective {place}", observations, scores[known], noise)

    def _probability(self, pool: Pool, x: Array) -> Array:
        """Return the probability that a candidate is feasible and that its evaluation succeeds: (N, F) → (N,)."""
        probability = np.ones(len(x))
        tried = [one for one in self._history if one.succeeded is not None]
        if not all(one.succeeded for one in tried):
            observations = _remembered(tried)
            success = np.array([1.0 if one.succeeded else 0.0 for one in observations])
            mean = success.mean() + self._posterior(pool, "success", observations, success - success.mean()).mean(x)
            probability *= np.clip(mean, 0.02, 1)
        for name in {name: None for one in self._history for name in one.constraints}:
            observations = _remembered([one for one in self._history if name in one.constraints])
            values = np.clip([one.constraints[name] for one in observations], -1e9, 1e9)
            if (values > 0).any():
                centre, scale = values.mean(), values.std() or 1.0
                mean, deviation = self._posterior(pool, name, observations, (values - centre) / scale)(x)
                probability *= ndtr((-centre / scale - mean) / deviation)
        return probability

    def _posterior(
        self, pool: Pool, name: str, observations: Sequence[Observation], y: Array, noise: Array | None = None
    ) -> Posterior:
        rows = pool.columns.rows([one.point for one in observations])
        return self._models.setdefault(name, Model()).given(rows, y, pool.columns.group, noise)


def _improvement(posteriors: Sequence[Posterior], x: Array, known: Array, reached: Array) -> Array:
    """Return the expected improvement at x (N, F) of the incumbent, or of the hypervolume of the front.

    The incumbent is the best posterior mean at the observed points, known (n, F); reached (n, M) are their scores.
    """
    if len(posteriors) == 1:
        mean, deviation = posteriors[0](x)
        return expected_improvement(mean, deviation, posteriors[0].mean(known).max())
    mean, deviation = (np.stack(part, axis=1) for part in zip(*(posterior(x) for posterior in posteriors), strict=True))
    front = spread_out(reached[_on_front(reached)], FRONT)
    return expected_hypervolume_improvement(mean, deviation, front, reached.min(0) - BELOW * np.ptp(reached, 0))


class Model:
    """A Gaussian process whose kernel weights are fitted again when the observations have grown by GROWN."""

    def __init__(self) -> None:
        self._process: GaussianProcess | None = None
        self._fitted = 0

    def given(self, x: Array, y: Array, group: NDArray[np.intp], noise: Array | None) -> Posterior:
        """Return the posterior after y (n,) was observed at x (n, F)."""
        groups = int(group.max()) + 1
        if self._process is None or self._process.groups < groups:
            self._process = GaussianProcess(groups, self._process)
        if len(y) >= self._fitted * GROWN:
            self._process.fit(x, y, group)
            self._fitted = len(y)
        return self._process.given(x, y, group, noise)


class Pool:
    """The candidates: points that were not tried, each with its last acquisition value.

    They are all points of the domain if these are few; otherwise random points and mutants of good ones. The value is
    +∞ for a candidate that was not evaluated yet, −∞ for a point that was tried.
    """

    def __init__(self, domain: Domain, rng: random.Random) -> None:
        self.domain, self._rng = domain, rng
        self._draw = np.random.default_rng(rng.getrandbits(64))
        self.columns = Columns()
        self._points: list[Point] = []
        self._values, self._x = np.empty(0), np.empty((0, 0))
        everything = list(domain.everything())
        self._whole = bool(everything)
        self._hold(np.empty(0, dtype=np.intp), everything)

    def __bool__(self) -> bool:
        return bool((self._values > -np.inf).any())

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """Return the features of the candidates at these places, (n, F)."""
        return self._x[chosen]

    def refill(self, parents: Sequence[Point], tried: Mapping[Hashable, Point]) -> None:
        """Remove the points that were tried, and add new candidates unless all points of the domain are here."""
        self.columns.learn(tried.values())
        self._values[[self._places[key] for key in tried if key in self._places]] = -np.inf
        if self._whole:
            if self._x.shape[1] < len(self.columns.group):  # a range has widened
                self._x = self.columns.rows(self._points)
            return
        best = np.argsort(-self._values, kind="stable")[:POOL]
        kept = best[self._values[best] > -np.inf]
        elite = [self._points[i] for i in kept[:PARENTS] if self._values[i] < np.inf]
        held = {self._points[i].key for i in kept}
        fresh: dict[Hashable, Point] = {}
        for turn in range(self.domain.fresh):
            of = (parents, elite, ())[turn % 3]
            point = self.domain.mutant(self._rng.choice(of).params if of else {}, self._rng)
            if point.key not in tried and point.key not in held:
                fresh[point.key] = point
        self._hold(kept, list(fresh.values()))

    def some(self, count: int) -> NDArray[np.intp]:
        """Return the places of at most `count` candidates: half are the best by their last values, others random."""
        left = np.flatnonzero(self._values > -np.inf)
        if len(left) <= count:
            return left
        left = left[np.argsort(-self._values[left], kind="stable")]
        others = count // 2 + self._draw.choice(len(left) - count // 2, count - count // 2, replace=False)
        return np.concatenate([left[: count // 2], left[others]])

    def take(self, chosen: NDArray[np.intp], value: Array) -> Point:
        """Store the values of the chosen candidates and return the best of them."""
        self._values[chosen] = value
        return self._points[int(chosen[value.argmax()])]

    def farthest(self, points: Sequence[Point]) -> Point:
        """Return, of DRAWN random candidates, the one whose nearest neighbour among `points` is the farthest."""
        left = np.flatnonzero(self._values > -np.inf).tolist()
        drawn = np.array(self._rng.sample(left, min(DRAWN, len(left))))
        if not points:
            return self._points[int(drawn[0])]
        known = self.columns.rows(points)
        apart = ((self._x[drawn][:, None] - known) ** 2).sum(2).min(1)
        return self._points[int(drawn[apart.argmax()])]

    def _hold(self, kept: NDArray[np.intp], fresh: Sequence[Point]) -> None:
        """Keep the candidates at the places `kept` and add fresh ones."""
        self.columns.learn(fresh)
        seen = self._x[kept] if self._x.shape[1] == len(self.columns.group) else None
        self._points = [self._points[i] for i in kept]
        known = self.columns.rows(self._points) if seen is None else seen
        self._x = np.concatenate([known, self.columns.rows(fresh)])
        self._points += fresh
        self._values = np.concatenate([self._values[kept], np.full(len(fresh), np.inf)])
        self._places = {point.key: place for place, point in enumerate(self._points)}


@functools.cache
def _blas() -> ThreadpoolController:
    """Return the controller of the BLAS: the matrices are small, and more than one thread would only wait."""
    return ThreadpoolController()


def _best_first(complete: Sequence[Observation]) -> list[Observation]:
    """Return the observations that know every objective: the front first, then by the mean of the normal scores."""
    if not complete:
        return []
    values = np.array([one.values for one in complete])
    known = np.isfinite(values).all(1)
    if not known.any():
        return []
    settled, values = [one for one, ok in zip(complete, known, strict=True) if ok], values[known]
    merit = np.mean([normal_scores(column) for column in values.T], axis=0)
    if values.shape[1] > 1:
        merit += 100 * _on_front(values)
    return [settled[i] for i in np.argsort(-merit, kind="stable")]


def _on_front(values: Array) -> NDArray[np.bool_]:
    """Return which rows of values (n, M) no other row dominates, (n,)."""
    return np.asarray(pareto_rank(values, ["maximize"] * values.shape[1], fronts=1) == 1)


def _remembered(observations: Sequence[Observation], best: Sequence[Observation] = ()) -> list[Observation]:
    """Return at most REMEMBERED observations: the best, and of the others some from the whole course of the search."""
    if len(observations) <= REMEMBERED:
        return list(observations)
    first = {id(one): one for one in best[: REMEMBERED // 2]}
    others = [one for one in observations if id(one) not in first]
    chosen = np.unique(np.linspace(0, len(others) - 1, REMEMBERED - len(first)).astype(int))
    return list(first.values()) + [others[i] for i in chosen]


def _scores(values: Array) -> Array:
    """Return the normal scores of the known values; NaN for the others."""
    scores, known = np.full(len(values), np.nan), np.isfinite(values)
    scores[known] = normal_scores(values[known])
    return scores
