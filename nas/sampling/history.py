"""What the trials of a study have taught so far. Every objective is turned so that more is better."""

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

from nas.sampling.domain import Domain, Features, Parameters, Point, Topologies
from nas.space import SearchSpace

Array = NDArray[np.float64]

# user attributes of a trial, for what Optuna has no place
UNTRIED = "nas:untried"  # it was never evaluated: that it failed says nothing
CURVE = "nas:curve"  # {objective, values: {step: value}}: a study of several objectives may not report them
KNOWN = "nas:known"  # of a pruned trial: the value, or null, of every objective
LARGE = 1e300  # stands for infinity
FEW = 3  # learning curves, from which the end of another one is foretold


@dataclass(eq=False, frozen=True, slots=True)
class Told:
    """A finished trial.

    values       (M,), NaN what is unknown
    curve        step → value of the objective `curved`
    whole        evaluated to the end
    succeeded    could it be evaluated? None where nobody tried
    constraints  positive where broken
    feasible     none is
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
    """Of one study, read as it grows. `domain` is None until a trial has decided something."""

    def __init__(self, study: Study, space: SearchSpace | None, features: Features) -> None:
        self._study = study._storage, study._study_id
        self._signs = np.array([-1.0 if way == StudyDirection.MINIMIZE else 1.0 for way in study.directions])
        self._told: dict[int, Told] = {}
        self._whole: dict[int, Told] = {}  # of them, what was evaluated to the end
        self._finished = 0  # trials before this one are all told
        self._distributions: dict[str, BaseDistribution] = {}
        self._learns = space is None
        self.domain: Domain | None = None if space is None else Topologies(space, features)

    def is_of(self, study: Study) -> bool:
        return self._study == (study._storage, study._study_id)

    def read(self, study: Study, proposed: Mapping[int, Mapping[str, Any]]) -> list[Point]:
        """Take up what has finished; returns what is running, with the parameters that were proposed for it."""
        trials = study.get_trials(deepcopy=False)
        later = trials[self._finished :]
        new = [trial for trial in later if trial.state.is_finished() and trial.number not in self._told]
        while self._finished < len(trials) and trials[self._finished].state.is_finished():
            self._finished += 1
        if self._learns:
            self._learn([trial for trial in new if trial.params])
        if self.domain is None:
            return []
        for trial in new:
            if (point := self.domain.point(trial.params)) is not None:
                self._know(trial.number, self._tell(trial, point))
        running = (proposed.get(t.number) or t.params for t in later if t.state == TrialState.RUNNING)
        return [point for params in running if params and (point := self.domain.point(params)) is not None]

    def __len__(self) -> int:
        return len(self._told)

    def __iter__(self) -> Iterator[Told]:
        return iter(self._told.values())

    def complete(self) -> list[Told]:
        """All with values; those of trials that were stopped early are foretold."""
        curves = [told for told in self._whole.values() if told.curve]
        stopped = [_foretold(told, curves) for told in self if told.curve and not told.whole]
        return [*self._whole.values(), *(told for told in stopped if np.isfinite(told.values).any())]

    def _know(self, number: int, told: Told) -> None:
        self._told[number] = told
        if told.whole:
            self._whole[number] = told

    def _tell(self, trial: FrozenTrial, point: Point) -> Told:
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
        return Told(point, values, curve, curved, whole, not failed if tried else None, trial.constraints, not broken)

    def _learn(self, new: Sequence[FrozenTrial]) -> None:
        """A domain that explains what the new trials have decided: the one that is there, if it does."""
        known = dict(self._distributions)
        for trial in new:
            for name, distribution in trial.distributions.items():
                self._distributions[name] = _both(self._distributions.get(name, distribution), distribution)
        if known == self._distributions and self.domain and all(self.domain.point(trial.params) for trial in new):
            return
        decided = [told.point.params for told in self] + [trial.params for trial in new]
        if decided:
            self.domain = domain = Parameters.of(self._distributions, decided)
            for number, told in list(self._told.items()):
                self._know(number, replace(told, point=domain.point(told.point.params) or told.point))


def _both(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """A range over all that either holds. What is no range may not change (Optuna sees to it)."""
    if one == other or not isinstance(one, IntDistribution | FloatDistribution):
        return one
    wide = copy.copy(one)
    wide.low, wide.high = min(one.low, other.low), max(one.high, other.high)  # type: ignore[attr-defined]
    return wide


def _foretold(told: Told, whole: Sequence[Told]) -> Told:
    """With the value that trials reached which stood as well at the step where this one was stopped.

    It stays ahead of as many as it was ahead of then.
    """
    step = max(told.curve)
    alike = [(other.curve[step], other.values[told.curved]) for other in whole if step in other.curve]
    if len(alike) < FEW:
        return told
    then, end = np.array(alike).T
    values = told.values.copy()
    values[told.curved] = np.interp(told.curve[step], np.sort(then), np.sort(end))
    return replace(told, values=values)
