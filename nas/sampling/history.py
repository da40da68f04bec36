"""The observations of a study: its finished trials as points with values. Every objective is to be maximised."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.sampling.domain import Domain
from nas.sampling.parameters import Parameters
from nas.sampling.topologies import FeatureFunction, Topologies
from nas.space import SearchSpace
from nas.study import compat
from nas.surrogate.points import Point
from nas.surrogate.process import FloatArray

# user attributes of a trial, for facts that Optuna has no field for
UNTRIED = "nas:untried"  # the trial was never evaluated, so that its failure is no observation
CURVE = "nas:curve"  # {objective, values: {step: value}}: a study of several objectives may not report them
KNOWN = "nas:known"  # of a pruned trial: the value, or null, of every objective
LARGE = 1e300  # stands for infinity
MIN_CURVES = 3  # the fewest learning curves from which the final value of another one is predicted


@dataclass(eq=False, frozen=True, slots=True)
class Observation:
    """A finished trial as an observation of its point.

    point        the point of the domain
    values       the objectives, (M,); a minimised one is negated, an unknown one is NaN
    curve        step → value of the objective with the number `curved`, also negated if it is minimised
    curved       the number of the objective that has a learning curve
    whole        whether the trial is COMPLETE, that is, was evaluated with the full budget
    succeeded    False for a failure of the evaluation, True for a value or a learning curve, None without evaluation
    constraints  name → value, positive for a violation
    feasible     whether no constraint is violated
    """

    point: Point
    values: FloatArray
    curve: Mapping[int, float]
    curved: int
    whole: bool
    succeeded: bool | None
    constraints: Mapping[str, float]
    feasible: bool


class History:
    """The observations of one study, to which `read` adds the trials that have finished since the last call.

    domain  the domain of the points: that of the search space, if there is one, otherwise one that is inferred from the
            trials (and replaced when they show new parameters, ranges or conditions); None before the first trial with
            parameters

    A study of several objectives cannot report intermediate values, and a pruned trial has no values. So the user
    attributes CURVE and KNOWN may hold the learning curve and the objectives that are known without training. A failed
    trial with the user attribute UNTRIED was discarded before its evaluation: its point is not proposed again, but it
    does not count as a failure.
    """

    def __init__(self, study: Study, space: SearchSpace | None, features: FeatureFunction) -> None:
        self._study = compat.study_key(study)
        self._signs = np.array([-1.0 if way == StudyDirection.MINIMIZE else 1.0 for way in study.directions])
        self._observations: dict[int, Observation] = {}
        self._whole: dict[int, Observation] = {}  # the observations of COMPLETE trials
        self._running: dict[int, Point] = {}  # as they were read last
        self._finished = 0  # all trials before this number have finished
        self._distributions: dict[str, BaseDistribution] = {}
        self._learns = space is None
        self.domain: Domain | None = None if space is None else Topologies(space, features)

    def is_of(self, study: Study) -> bool:
        """Return whether the observations are those of this study."""
        return self._study == compat.study_key(study)

    def read(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> list[Point]:
        """Add the trials that have finished, and return the points of the running trials.

        proposed  trial number → the whole proposal for a running trial, whose own parameters may still be incomplete

        A trial whose parameters are no point of the domain is left out.
        """
        trials = study.get_trials(deepcopy=False)
        later = trials[self._finished :]
        new = [trial for trial in later if trial.state.is_finished() and trial.number not in self._observations]
        while self._finished < len(trials) and trials[self._finished].state.is_finished():
            self._finished += 1
        if self._learns:
            self._learn([trial for trial in new if trial.params])
        if self.domain is None:
            return []
        for trial in new:
            if (point := self._point(self.domain, trial.number, trial.params)) is not None:
                self._add(trial.number, self._observe(trial, point))
        params = {t.number: proposed.get(t.number) or t.params for t in later if t.state == TrialState.RUNNING}
        points = {number: self._point(self.domain, number, given) for number, given in params.items() if given}
        self._running = {number: point for number, point in points.items() if point is not None}
        return list(self._running.values())

    def __len__(self) -> int:
        return len(self._observations)

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._observations.values())

    def complete(self) -> list[Observation]:
        """Return the observations of COMPLETE trials, and of others with a learning curve, with a predicted value.

        The others were stopped early, or failed later; one of them is left out if it has no value in the end.
        """
        with_curves = [one for one in self._whole.values() if one.curve]
        stopped = [_predicted(one, with_curves) for one in self if one.curve and not one.whole]
        return [*self._whole.values(), *(one for one in stopped if np.isfinite(one.values).any())]

    def _point(self, domain: Domain, number: int, params: Mapping[str, Any]) -> Point | None:
        """Return the point of a trial: the one that is known if it ran before with these parameters."""
        known = self._running.get(number)
        return known if known is not None and known.params == params else domain.point(params)

    def _add(self, number: int, observation: Observation) -> None:
        self._observations[number] = observation
        if observation.whole:
            self._whole[number] = observation

    def _observe(self, trial: FrozenTrial, point: Point) -> Observation:
        whole = trial.state == TrialState.COMPLETE
        recorded = trial.values if whole else trial.user_attrs.get(KNOWN)
        values = np.full(len(self._signs), np.nan)
        if recorded is not None:
            values = np.clip(np.array(recorded, dtype=np.float64), -LARGE, LARGE) * self._signs
        reported = trial.user_attrs.get(CURVE) or {"objective": 0, "values": trial.intermediate_values}
        curved: int = reported["objective"]
        curve = {int(step): float(value * self._signs[curved]) for step, value in reported["values"].items()}
        failed = trial.state == TrialState.FAIL
        tried = UNTRIED not in trial.user_attrs and (whole or failed or curve)
        violated = any(value > 0 for value in trial.constraints.values())
        return Observation(
            point, values, curve, curved, whole, not failed if tried else None, trial.constraints, not violated
        )

    def _learn(self, new: Sequence[FrozenTrial]) -> None:
        """Infer the domain again from all trials, unless the parameters of the new ones are points of it."""
        before = dict(self._distributions)
        for trial in new:
            for name, distribution in trial.distributions.items():
                self._distributions[name] = _union(self._distributions.get(name, distribution), distribution)
        if before == self._distributions and self.domain and all(self.domain.point(trial.params) for trial in new):
            return
        decided = [observation.point.params for observation in self] + [trial.params for trial in new]
        if decided:
            self.domain = domain = Parameters.of(self._distributions, decided)
            self._running.clear()
            for number, observation in list(self._observations.items()):
                self._add(
                    number, replace(observation, point=domain.point(observation.point.params) or observation.point)
                )


def _union(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """Return the smallest range that contains both ranges. Optuna allows no other distribution to change."""
    if one == other or not isinstance(one, IntDistribution | FloatDistribution):
        return one
    wide = copy.copy(one)
    wide.low, wide.high = min(one.low, other.low), max(one.high, other.high)  # type: ignore[attr-defined]
    return wide


def _predicted(observation: Observation, whole: Sequence[Observation]) -> Observation:
    """Return the observation with a predicted final value of the objective that has a learning curve.

    The prediction keeps the rank that the trial had at its last step among the COMPLETE trials: it is the linear
    interpolation of their sorted final values over their sorted values at that step. Without MIN_CURVES learning curves
    that reach the step, the observation is returned unchanged.
    """
    step = max(observation.curve)
    pairs = [(other.curve[step], other.values[observation.curved]) for other in whole if step in other.curve]
    if len(pairs) < MIN_CURVES:
        return observation
    at_step, final = np.array(pairs).T
    values = observation.values.copy()
    values[observation.curved] = np.interp(observation.curve[step], np.sort(at_step), np.sort(final))
    return replace(observation, values=values)
