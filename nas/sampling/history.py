"""The observations of a study: its finished trials as points with values. All objectives are maximised."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.sampling.parameters import Parameters
from nas.sampling.points import Domain, Point
from nas.sampling.topologies import FeatureFunction, Topologies
from nas.space import SearchSpace
from nas.study import compat

Array = NDArray[np.float64]

# user attributes of a trial, for facts that Optuna has no field for
UNTRIED = "nas:untried"  # the trial was never evaluated, so that its failure is no observation
CURVE = "nas:curve"  # {objective, values: {step: value}}: a study of several objectives may not report them
KNOWN = "nas:known"  # of a pruned trial: the value, or null, of every objective
LARGE = 1e300  # stands for infinity
FEW = 3  # the fewest learning curves from which the end of another one is predicted


@dataclass(eq=False, frozen=True, slots=True)
class Observation:
    """A finished trial as an observation.

    point        the point of the domain
    values       the objectives (M,), to be maximised; NaN where one is unknown
    curve        step → value of the objective with the number `curved`
    curved       the objective that has a learning curve
    whole        whether the trial was evaluated to the end
    succeeded    whether it could be evaluated; None where it was not tried
    constraints  name → value, positive for a violation
    feasible     whether no constraint is violated
    """

    point: Point
    values: Array
    curve: Mapping[int, float]
    curved: int
    whole: bool
    succeeded: bool | None
    constraints: Mapping[str, float]
    feasible: bool


class History:
    """The observations of one study, read while it grows. `domain` is None until a trial has parameters."""

    def __init__(self, study: Study, space: SearchSpace | None, features: FeatureFunction) -> None:
        self._study = compat.study_key(study)
        self._signs = np.array([-1.0 if way == StudyDirection.MINIMIZE else 1.0 for way in study.directions])
        self._observations: dict[int, Observation] = {}
        self._whole: dict[int, Observation] = {}  # of them, what was evaluated to the end
        self._finished = 0  # all trials before this number are known
        self._distributions: dict[str, BaseDistribution] = {}
        self._learns = space is None
        self.domain: Domain | None = None if space is None else Topologies(space, features)

    def is_of(self, study: Study) -> bool:
        """Return whether these are the observations of this study."""
        return self._study == compat.study_key(study)

    def read(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> list[Point]:
        """Add the trials that have finished; return the points of the running trials, as they were proposed."""
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
            if (point := self.domain.point(trial.params)) is not None:
                self._add(trial.number, self._observe(trial, point))
        running = (proposed.get(t.number) or t.params for t in later if t.state == TrialState.RUNNING)
        return [point for params in running if params and (point := self.domain.point(params)) is not None]

    def __len__(self) -> int:
        return len(self._observations)

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._observations.values())

    def complete(self) -> list[Observation]:
        """Return all observations with values; those of trials that were stopped early are predicted."""
        curves = [one for one in self._whole.values() if one.curve]
        stopped = [_predicted(one, curves) for one in self if one.curve and not one.whole]
        return [*self._whole.values(), *(one for one in stopped if np.isfinite(one.values).any())]

    def _add(self, number: int, observation: Observation) -> None:
        self._observations[number] = observation
        if observation.whole:
            self._whole[number] = observation

    def _observe(self, trial: FrozenTrial, point: Point) -> Observation:
        whole = trial.state == TrialState.COMPLETE
        given = trial.values if whole else trial.user_attrs.get(KNOWN)
        nothing = np.full(len(self._signs), np.nan)
        values = nothing if given is None else np.clip(np.array(given, dtype=np.float64), -LARGE, LARGE) * self._signs
        reported = trial.user_attrs.get(CURVE) or {"objective": 0, "values": trial.intermediate_values}
        curved: int = reported["objective"]
        curve = {int(step): float(value * self._signs[curved]) for step, value in reported["values"].items()}
        failed = trial.state == TrialState.FAIL
        tried = UNTRIED not in trial.user_attrs and (whole or failed or curve)
        broken = any(value > 0 for value in trial.constraints.values())
        return Observation(
            point, values, curve, curved, whole, not failed if tried else None, trial.constraints, not broken
        )

    def _learn(self, new: Sequence[FrozenTrial]) -> None:
        """Replace the domain, unless it explains the parameters of the new trials."""
        known = dict(self._distributions)
        for trial in new:
            for name, distribution in trial.distributions.items():
                self._distributions[name] = _both(self._distributions.get(name, distribution), distribution)
        if known == self._distributions and self.domain and all(self.domain.point(trial.params) for trial in new):
            return
        decided = [observation.point.params for observation in self] + [trial.params for trial in new]
        if decided:
            self.domain = domain = Parameters.of(self._distributions, decided)
            for number, observation in list(self._observations.items()):
                self._add(
                    number, replace(observation, point=domain.point(observation.point.params) or observation.point)
                )


def _both(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """Return a range that holds both ranges. Optuna does not allow other distributions to change."""
    if one == other or not isinstance(one, IntDistribution | FloatDistribution):
        return one
    wide = copy.copy(one)
    wide.low, wide.high = min(one.low, other.low), max(one.high, other.high)  # type: ignore[attr-defined]
    return wide


def _predicted(observation: Observation, whole: Sequence[Observation]) -> Observation:
    """Return the observation with a predicted final value: it keeps the rank that it had when it was stopped.

    The ranks are those among all trials that were evaluated to the end, at the last step of this one.
    """
    step = max(observation.curve)
    alike = [(other.curve[step], other.values[observation.curved]) for other in whole if step in other.curve]
    if len(alike) < FEW:
        return observation
    then, end = np.array(alike).T
    values = observation.values.copy()
    values[observation.curved] = np.interp(observation.curve[step], np.sort(then), np.sort(end))
    return replace(observation, values=values)
