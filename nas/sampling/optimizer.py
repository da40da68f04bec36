"""Bayesian optimisation over a domain: the proposal of the next point from the observations of a study."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from scipy.special import ndtr

from nas.sampling.acquisition import expected_hypervolume_improvement, expected_improvement, spread_out
from nas.sampling.history import History, Observation
from nas.sampling.pool import PARENTS, Pool
from nas.sampling.topologies import FeatureFunction
from nas.space import SearchSpace
from nas.study.pareto import pareto_rank
from nas.surrogate import replicates
from nas.surrogate.points import Point
from nas.surrogate.process import Belief, FloatArray, GaussianProcess, Posterior, normal_scores
from nas.surrogate.threads import one_thread

STARTUP = 3  # trials before the first model, whose points are far from each other
MAX_OBSERVATIONS = 400  # the most observations of a model: the best, and others from the whole course of the search
MAX_PAIRS = 250_000  # for one proposal: points with an acquisition value × observations × objectives
REFIT = 1.1  # kernel weights are fitted again when the number of observations has grown by this factor
PREDICTED = 0.5  # additional noise variance of a value that was predicted from a part of the training
BELOW = 0.1  # distance of the reference point of the hypervolume below the worst values, as a share of their range
AHEAD = 8  # running trials for each proposal that is made ahead
MAX_FRONT = 40  # the most points of a front, because the number of boxes grows with its power M − 1


class Optimizer:
    """The proposals for one study, from Gaussian processes of its objectives and constraints.

    The values of each objective are replaced by their normal scores, and an independent Gaussian process
    (nas.surrogate.process) is fitted to them on the feature rows of the points (nas.surrogate.columns). The proposal is
    the point that was never tried and has the largest acquisition value

        a(x) = improvement(x) · Π_c P(c(x) ≤ 0) · success(x)

    improvement(x)  the expected improvement over the incumbent, the best posterior mean at a feasible observation; for
                    several objectives the expected growth of the hypervolume; 1 before the first feasible observation
    P(c(x) ≤ 0)     the probability that constraint c is not violated, from a process of its values (Schonlau 1997)
    success(x)      the probability that the evaluation does not fail, from a process of 0 (failure) and 1 (success)

    Each running trial counts as if it had reached its posterior mean (kriging believer, Ginsbourger et al. 2010).
    While fewer than two trials are COMPLETE, or fewer than STARTUP have values or are running, the proposal is a point
    far from all trials. Pool and kernel weights are kept from one proposal to the next.

    Where many trials run, the models hardly change from one proposal to the next: for each AHEAD running trials, one
    more is made from the same models, as if those before it ran.

    study     the study; every objective is to be maximised or minimised as its directions say
    space     the search space of its trials; None to infer the domain from their parameters
    features  topology → further features; used if there is a space
    rng       the generator of every random decision
    """

    def __init__(self, study: Study, space: SearchSpace | None, features: FeatureFunction, rng: random.Random) -> None:
        self._rng = rng
        self._history = History(study, space, features)
        self._pool: Pool | None = None
        self._models: dict[str, Model] = {}
        self._ahead: list[Point] = []  # the next proposals

    def is_of(self, study: Study) -> bool:
        """Return whether the optimizer makes proposals for this study."""
        return self._history.is_of(study)

    def propose(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the parameters of the next point; an empty mapping while no trial of the study has parameters.

        proposed  trial number → the parameters that were proposed for a running trial
        """
        with one_thread():
            return self._propose(study, proposed)

    def _propose(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
        running = self._history.read(study, proposed)
        domain = self._history.domain
        if domain is None:
            return {}
        if self._pool is None or self._pool.domain is not domain:
            self._pool, self._models, self._ahead = Pool(domain, self._rng), {}, []
        tried = {one.point.key: one.point for one in self._history} | {point.key: point for point in running}
        while self._ahead:
            if (point := self._ahead.pop(0)).key not in tried:
                return point.params
        complete = self._history.complete()
        best = _best_first([one for one in complete if one.feasible])
        self._pool.refill([one.point for one in best[:PARENTS]], tried)
        if not self._pool:
            return domain.mutant({}, self._rng).params  # every point was tried: propose a random one
        if sum(one.whole for one in complete) < 2 or len(complete) + len(running) < STARTUP:
            return self._pool.farthest(list(tried.values())).params
        first, *self._ahead = self._most_promising(self._pool, _limited(complete, best), running)
        return first.params

    def _most_promising(self, pool: Pool, complete: Sequence[Observation], running: Sequence[Point]) -> list[Point]:
        """Return the point of the largest acquisition value, among as many points of the pool as MAX_PAIRS allows, and
        those that follow it if it runs.

        complete  observations with values
        running   the points of the running trials
        """
        scores = np.stack([_scores(column) for column in np.array([one.values for one in complete]).T], axis=1)
        complete, scores, noise = _pooled(complete, scores)
        posteriors = [
            self._objective(pool, place, complete, column, noise[:, place]) for place, column in enumerate(scores.T)
        ]
        if running:
            posteriors = [posterior.believing(pool.columns.rows(running)) for posterior in posteriors]
        chosen = pool.some(max(200, MAX_PAIRS // (len(complete) * len(posteriors))))
        x = pool.rows(chosen)
        settled = np.array([one.feasible for one in complete]) & np.isfinite(scores).all(1)
        known = pool.columns.rows([one.point for one, ok in zip(complete, settled, strict=True) if ok])
        reached = scores[settled]
        for place in np.flatnonzero(noise.any(0)):  # the best of noisy values are lucky: what is expected counts
            reached[:, place] = posteriors[place].mean(known)
        improvement, probability = _improvement(posteriors, known, reached), self._probability(pool, x)
        beliefs = [posterior.at(x) for posterior in posteriors]
        value = probability * improvement(beliefs)
        pool.keep(chosen, value)
        best = [int(value.argmax())]
        for _ in range(min(len(running) // AHEAD, len(chosen) - 1)):
            for belief in beliefs:
                belief.believe(best[-1])
            value = probability * improvement(beliefs)
            value[best] = -np.inf
            best.append(int(value.argmax()))
        return [pool[int(place)] for place in chosen[best]]

    def _objective(
        self, pool: Pool, place: int, complete: Sequence[Observation], scores: FloatArray, noise: FloatArray
    ) -> Posterior:
        """Return the posterior of the objective with the number `place`, from the observations that know it.

        noise  the noise variance of every score, as far as replicates tell it, (n,)

        A value that was predicted from a learning curve has the additional noise variance PREDICTED.
        """
        known = np.isfinite(scores)
        observations = [one for one, ok in zip(complete, known, strict=True) if ok]
        predicted = np.array([0.0 if one.whole or place != one.curved else PREDICTED for one in observations])
        return self._posterior(pool, f"objective {place}", observations, scores[known], predicted + noise[known])

    def _probability(self, pool: Pool, x: FloatArray) -> FloatArray:
        """Return the probability that a point is feasible and that its evaluation succeeds: x (N, F) → (N,).

        The probability of success is at least 0.02, so that no region is excluded for ever.
        """
        probability = np.ones(len(x))
        tried = [one for one in self._history if one.succeeded is not None]
        if not all(one.succeeded for one in tried):
            observations = _limited(tried)
            success = np.array([1.0 if one.succeeded else 0.0 for one in observations])
            mean = success.mean() + self._posterior(pool, "success", observations, success - success.mean()).mean(x)
            probability *= np.clip(mean, 0.02, 1)
        for name in {name: None for one in self._history for name in one.constraints}:
            observations = _limited([one for one in self._history if name in one.constraints])
            values = np.clip([one.constraints[name] for one in observations], -1e9, 1e9)
            if (values > 0).any():
                centre, scale = values.mean(), values.std() or 1.0
                mean, deviation = self._posterior(pool, name, observations, (values - centre) / scale)(x)
                probability *= ndtr((-centre / scale - mean) / deviation)
        return probability

    def _posterior(
        self, pool: Pool, name: str, observations: Sequence[Observation], y: FloatArray, noise: FloatArray | None = None
    ) -> Posterior:
        """Return the posterior of the model `name`, given y (n,) at the points of the observations."""
        rows = pool.columns.rows([one.point for one in observations])
        return self._models.setdefault(name, Model()).given(rows, y, pool.columns.group, noise)


def _pooled(
    complete: Sequence[Observation], scores: FloatArray
) -> tuple[Sequence[Observation], FloatArray, FloatArray]:
    """Return one observation for each point, the means of its scores, and their noise variances, each (n, M).

    The variance of one score is estimated from the points that were evaluated more than once; without any it is 0 here,
    and the weights of the process say what noise there is. Replicates that were stopped early count where the point has
    no others.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, one in enumerate(complete):
        groups.setdefault(one.point.key, []).append(number)
    if len(groups) == len(complete):
        return complete, scores, np.zeros_like(scores)
    members = [[n for n in same if complete[n].whole] or same[:1] for same in groups.values()]
    pooled = [replicates.pool([scores[same, place] for same in members]) for place in range(scores.shape[1])]
    means = np.stack([each.mean for each in pooled], axis=1)
    noise = np.stack([each.noise / each.count for each in pooled], axis=1)
    return [complete[same[0]] for same in members], means, noise


def _improvement(
    posteriors: Sequence[Posterior], known: FloatArray, reached: FloatArray
) -> Callable[[Sequence[Belief]], FloatArray]:
    """Return the function that returns the expected improvement of beliefs about each objective at N points, (N,).

    It is that over the incumbent, or of the hypervolume of the front; 1 while nothing feasible is known.

    posteriors  of each objective
    known       the feature rows of the feasible observations, (n, F)
    reached     their scores, (n, M)
    """
    if not len(known):
        return lambda beliefs: np.ones(len(beliefs[0].mean))
    if len(posteriors) == 1:
        incumbent = posteriors[0].mean(known).max()
        return lambda beliefs: expected_improvement(beliefs[0].mean, beliefs[0].deviation, incumbent)
    front = spread_out(reached[_on_front(reached)], MAX_FRONT)
    worst = reached.min(0) - BELOW * np.ptp(reached, 0)

    def growth(beliefs: Sequence[Belief]) -> FloatArray:
        mean, deviation = (np.stack([getattr(one, name) for one in beliefs], axis=1) for name in ("mean", "deviation"))
        return expected_hypervolume_improvement(mean, deviation, front, worst)

    return growth


class Model:
    """A Gaussian process whose weights are fitted when the number of observations has grown by the factor REFIT."""

    def __init__(self) -> None:
        self._process: GaussianProcess | None = None
        self._fitted = 0

    def given(self, x: FloatArray, y: FloatArray, group: NDArray[np.intp], noise: FloatArray | None) -> Posterior:
        """Return the posterior given y (n,) at x (n, F); see GaussianProcess.given."""
        groups = int(group.max()) + 1
        if self._process is None or self._process.groups < groups:
            self._process = GaussianProcess(groups, self._process)
        if len(y) >= self._fitted * REFIT:
            self._process.fit(x, y, group, noise)
            self._fitted = len(y)
        return self._process.given(x, y, group, noise)


def _best_first(complete: Sequence[Observation]) -> list[Observation]:
    """Return the observations in which every objective is known, the best first.

    The order is that of the mean of their normal scores, but those on the front come before all others.
    """
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


def _on_front(values: FloatArray) -> NDArray[np.bool_]:
    """Return which rows of values (n, M) no other row dominates, (n,)."""
    return np.asarray(pareto_rank(values, ["maximize"] * values.shape[1], fronts=1) == 1)


def _limited(observations: Sequence[Observation], best: Sequence[Observation] = ()) -> list[Observation]:
    """Return at most MAX_OBSERVATIONS observations: up to half are the best, the others are evenly spaced in time."""
    if len(observations) <= MAX_OBSERVATIONS:
        return list(observations)
    first = {id(one): one for one in best[: MAX_OBSERVATIONS // 2]}
    others = [one for one in observations if id(one) not in first]
    chosen = np.unique(np.linspace(0, len(others) - 1, MAX_OBSERVATIONS - len(first)).astype(int))
    return list(first.values()) + [others[i] for i in chosen]


def _scores(values: FloatArray) -> FloatArray:
    """Return the normal scores of the known values; NaN for the others."""
    scores, known = np.full(len(values), np.nan), np.isfinite(values)
    scores[known] = normal_scores(values[known])
    return scores
