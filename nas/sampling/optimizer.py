"""What to try next, given what the trials of a study have taught."""

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
from nas.sampling.domain import Columns, Domain, Features, Point
from nas.sampling.history import History, Told
from nas.sampling.surrogate import GaussianProcess, Posterior, normal_scores
from nas.space import SearchSpace
from nas.study.pareto import pareto_rank

Array = NDArray[np.float64]

STARTUP = 3  # trials before there is a model: each far from all others
REMEMBERED = 400  # trials that a model is given: the best, and others from the whole course of the search
COST = 250_000  # of a proposal: pairs of a candidate and a trial, in all models together
POOL = 1000  # candidates that are kept from one proposal to the next, where they are not all
PARENTS = 20  # of mutants
GROWN = 1.1  # weights are searched anew when there are so many times the trials
FORETOLD = 0.5  # variance, over the usual, of a value that was foretold from a part of the training
DRAWN = 50  # candidates at random, from which the least known is tried at the start
BELOW = 0.1  # the worst that was reached, in its range: the reference of the hypervolume
FRONT = 40  # points of a front that boxes are made of: their number grows with its power


class Optimizer:
    """Of one study: reads its trials, keeps candidates and models from one proposal to the next."""

    def __init__(self, study: Study, space: SearchSpace | None, features: Features, rng: random.Random) -> None:
        self._rng = rng
        self._history = History(study, space, features)
        self._pool: Pool | None = None
        self._models: dict[str, Model] = {}

    def is_of(self, study: Study) -> bool:
        return self._history.is_of(study)

    def propose(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
        """The parameters to try next; none where nothing is known yet. `proposed`: those of what is running."""
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
        best = _best_first([told for told in complete if told.feasible])
        tried = {told.point.key: told.point for told in self._history} | {point.key: point for point in running}
        self._pool.refill([told.point for told in best[:PARENTS]], tried)
        if not self._pool:
            return domain.mutant({}, self._rng).params  # everything was tried
        if sum(told.whole for told in complete) < 2 or len(complete) + len(running) < STARTUP:
            return self._pool.farthest(list(tried.values())).params
        return self._most_promising(self._pool, _remembered(complete, best), running).params

    def _most_promising(self, pool: Pool, complete: Sequence[Told], running: Sequence[Point]) -> Point:
        """The candidate of the largest expected improvement times its probability to be feasible and to succeed."""
        scores = np.stack([_scores(column) for column in np.array([told.values for told in complete]).T], axis=1)
        beliefs = [self._objective(pool, place, complete, column) for place, column in enumerate(scores.T)]
        if running:
            beliefs = [belief.believing(pool.columns.rows(running)) for belief in beliefs]
        chosen = pool.some(max(200, COST // (len(complete) * len(beliefs))))
        x = pool.rows(chosen)
        worth = self._probability(pool, x)
        settled = np.array([told.feasible for told in complete]) & np.isfinite(scores).all(1)
        if settled.any():
            known = pool.columns.rows([told.point for told, ok in zip(complete, settled, strict=True) if ok])
            worth *= _improvement(beliefs, x, known, scores[settled])
        return pool.take(chosen, worth)

    def _objective(self, pool: Pool, place: int, complete: Sequence[Told], scores: Array) -> Posterior:
        """What is believed of one objective."""
        known = np.isfinite(scores)
        told = [told for told, ok in zip(complete, known, strict=True) if ok]
        noise = np.array([0.0 if one.whole or place != one.curved else FORETOLD for one in told])
        return self._belief(pool, f"objective {place}", told, scores[known], noise)

    def _probability(self, pool: Pool, x: Array) -> Array:
        """That a candidate keeps every constraint, and that its evaluation succeeds. (N, F) → (N,)"""
        probability = np.ones(len(x))
        tried = [told for told in self._history if told.succeeded is not None]
        if not all(told.succeeded for told in tried):
            told = _remembered(tried)
            success = np.array([1.0 if one.succeeded else 0.0 for one in told])
            mean = success.mean() + self._belief(pool, "success", told, success - success.mean()).mean(x)
            probability *= np.clip(mean, 0.02, 1)
        for name in {name: None for told in self._history for name in told.constraints}:
            told = _remembered([told for told in self._history if name in told.constraints])
            values = np.clip([one.constraints[name] for one in told], -1e9, 1e9)
            if (values > 0).any():
                centre, scale = values.mean(), values.std() or 1.0
                mean, deviation = self._belief(pool, name, told, (values - centre) / scale)(x)
                probability *= ndtr((-centre / scale - mean) / deviation)
        return probability

    def _belief(self, pool: Pool, name: str, told: Sequence[Told], y: Array, noise: Array | None = None) -> Posterior:
        rows = pool.columns.rows([one.point for one in told])
        return self._models.setdefault(name, Model()).given(rows, y, pool.columns.group, noise)


def _improvement(beliefs: Sequence[Posterior], x: Array, known: Array, reached: Array) -> Array:
    """Of the best mean, or of the hypervolume of the front; known (n, F) gave the scores reached (n, M)."""
    if len(beliefs) == 1:
        mean, deviation = beliefs[0](x)
        return expected_improvement(mean, deviation, beliefs[0].mean(known).max())
    mean, deviation = (np.stack(part, axis=1) for part in zip(*(belief(x) for belief in beliefs), strict=True))
    front = spread_out(reached[_on_front(reached)], FRONT)
    return expected_hypervolume_improvement(mean, deviation, front, reached.min(0) - BELOW * np.ptp(reached, 0))


class Model:
    """A Gaussian process whose weights are searched again now and then."""

    def __init__(self) -> None:
        self._process: GaussianProcess | None = None
        self._fitted = 0

    def given(self, x: Array, y: Array, group: NDArray[np.intp], noise: Array | None) -> Posterior:
        groups = int(group.max()) + 1
        if self._process is None or self._process.groups < groups:
            self._process = GaussianProcess(groups, self._process)
        if len(y) >= self._fitted * GROWN:
            self._process.fit(x, y, group)
            self._fitted = len(y)
        return self._process.given(x, y, group, noise)


class Pool:
    """Candidates that were not tried, with what they were last thought to be worth.

    All points of the domain where these are few; else what chance and the change of good ones bring up.
    """

    def __init__(self, domain: Domain, rng: random.Random) -> None:
        self.domain, self._rng = domain, rng
        self._draw = np.random.default_rng(rng.getrandbits(64))
        self.columns = Columns()
        self._points: list[Point] = []
        self._worth, self._x = np.empty(0), np.empty((0, 0))
        everything = list(domain.everything())
        self._whole = bool(everything)
        self._hold(np.empty(0, dtype=np.intp), everything)

    def __bool__(self) -> bool:
        return bool((self._worth > -np.inf).any())

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """What a model sees of them: (n, F)."""
        return self._x[chosen]

    def refill(self, parents: Sequence[Point], tried: Mapping[Hashable, Point]) -> None:
        """Without what was tried; with new candidates, where there may be others. What was tried can be seen."""
        self.columns.learn(tried.values())
        self._worth[[self._places[key] for key in tried if key in self._places]] = -np.inf
        if self._whole:
            if self._x.shape[1] < len(self.columns.group):  # a range has widened
                self._x = self.columns.rows(self._points)
            return
        best = np.argsort(-self._worth, kind="stable")[:POOL]
        kept = best[self._worth[best] > -np.inf]
        elite = [self._points[i] for i in kept[:PARENTS] if self._worth[i] < np.inf]
        held = {self._points[i].key for i in kept}
        fresh: dict[Hashable, Point] = {}
        for turn in range(self.domain.fresh):
            of = (parents, elite, ())[turn % 3]
            point = self.domain.mutant(self._rng.choice(of).params if of else {}, self._rng)
            if point.key not in tried and point.key not in held:
                fresh[point.key] = point
        self._hold(kept, list(fresh.values()))

    def some(self, count: int) -> NDArray[np.intp]:
        """At most `count`: half of them thought to be the best when they were last looked at, if ever."""
        left = np.flatnonzero(self._worth > -np.inf)
        if len(left) <= count:
            return left
        left = left[np.argsort(-self._worth[left], kind="stable")]
        others = count // 2 + self._draw.choice(len(left) - count // 2, count - count // 2, replace=False)
        return np.concatenate([left[: count // 2], left[others]])

    def take(self, chosen: NDArray[np.intp], worth: Array) -> Point:
        """The best of those that were chosen, now that it is known what they are worth."""
        self._worth[chosen] = worth
        return self._points[chosen[worth.argmax()]]

    def farthest(self, points: Sequence[Point]) -> Point:
        """Of a few drawn at random the one that is least like any of `points`."""
        left = np.flatnonzero(self._worth > -np.inf).tolist()
        drawn = np.array(self._rng.sample(left, min(DRAWN, len(left))))
        if not points:
            return self._points[drawn[0]]
        known = self.columns.rows(points)
        apart = ((self._x[drawn][:, None] - known) ** 2).sum(2).min(1)
        return self._points[drawn[apart.argmax()]]

    def _hold(self, kept: NDArray[np.intp], fresh: Sequence[Point]) -> None:
        """Those at the places `kept`, and fresh ones, of which nothing is known."""
        self.columns.learn(fresh)
        seen = self._x[kept] if self._x.shape[1] == len(self.columns.group) else None
        self._points = [self._points[i] for i in kept]
        known = self.columns.rows(self._points) if seen is None else seen
        self._x = np.concatenate([known, self.columns.rows(fresh)])
        self._points += fresh
        self._worth = np.concatenate([self._worth[kept], np.full(len(fresh), np.inf)])
        self._places = {point.key: place for place, point in enumerate(self._points)}


@functools.cache
def _blas() -> ThreadpoolController:
    """The matrices are small: more threads than one would wait for each other, and for the trainings."""
    return ThreadpoolController()


def _best_first(complete: Sequence[Told]) -> list[Told]:
    """The front of what is known in every objective, then by the mean of their normal scores."""
    if not complete:
        return []
    values = np.array([told.values for told in complete])
    known = np.isfinite(values).all(1)
    if not known.any():
        return []
    settled, values = [told for told, ok in zip(complete, known, strict=True) if ok], values[known]
    merit = np.mean([normal_scores(column) for column in values.T], axis=0)
    if values.shape[1] > 1:
        merit += 100 * _on_front(values)
    return [settled[i] for i in np.argsort(-merit, kind="stable")]


def _on_front(values: Array) -> NDArray[np.bool_]:
    """(n,): which rows no other row dominates. values (n, M)"""
    return pareto_rank(values, ["maximize"] * values.shape[1], fronts=1) == 1


def _remembered(told: Sequence[Told], best: Sequence[Told] = ()) -> list[Told]:
    """No more than a model can be given: the best, and of the others some from the whole course of the search."""
    if len(told) <= REMEMBERED:
        return list(told)
    first = {id(one): one for one in best[: REMEMBERED // 2]}
    others = [one for one in told if id(one) not in first]
    chosen = np.unique(np.linspace(0, len(others) - 1, REMEMBERED - len(first)).astype(int))
    return list(first.values()) + [others[i] for i in chosen]


def _scores(values: Array) -> Array:
    """Normal scores of what is known."""
    scores, known = np.full(len(values), np.nan), np.isfinite(values)
    scores[known] = normal_scores(values[known])
    return scores
