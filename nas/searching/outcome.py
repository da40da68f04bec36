"""The outcome of a training, and the state of its trial that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from nas.errors import quoted
from nas.space import OBJECTIVES, Objective, SearchSpace
from nas.study.attributes import CURVE, MEASURED, METRICS, PREDICTED, holders, number_at, recorded, value_of

if TYPE_CHECKING:
    from nas.searching.candidate import Candidate
    from nas.study.reuse import ReusableTrial

FinalState = tuple[TrialState, str | None]  # the state, and the reason if it is FAIL


@dataclass
class TrialOutcome:
    """The outcome of a training.

    curve        the record of every epoch: {epoch, <metric>, loss, seconds, …}
    full_budget  whether it was trained to the end; if it neither was nor failed, a scheduler stopped it
    failure      why it failed; None if it did not
    measured     what the training took: {seconds, busy, …}
    """

    curve: Sequence[Mapping[str, Any]] = ()
    full_budget: bool = False
    failure: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_complete(cls, trial: FrozenTrial) -> TrialOutcome:
        """Return the outcome of a trial that is COMPLETE in a study."""
        known = recorded(trial)
        return cls(known[CURVE], full_budget=True, measured=known.get(MEASURED, {}))

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of the last epoch, without its number and its seconds."""
        last = self.curve[-1] if self.curve else {}
        return {name: value for name, value in last.items() if name not in ("epoch", "seconds")}


def final_state(outcome: TrialOutcome, space: SearchSpace, predicted: Mapping[str, Any]) -> FinalState:
    """Return the state in which the trial ends, and the reason if it failed.

    predicted  the cost of its topology before training

    A training that reported no finite metric has failed, and so has one that lacks an objective at its end.
    """
    if outcome.failure is not None:
        return TrialState.FAIL, outcome.failure
    metric = space.task.metric
    if metric not in outcome.metrics:
        return TrialState.FAIL, f"missing metric: no {metric!r} was reported"
    if not math.isfinite(number_at(outcome.metrics, metric)):
        return TrialState.FAIL, f"diverged: {metric} is {quoted(outcome.metrics[metric])}"
    if not outcome.full_budget:
        return TrialState.PRUNED, None
    known = _attributes(outcome, predicted)
    for objective in space.goals.objectives:
        if not math.isfinite(value_of(objective, known)):
            return TrialState.FAIL, _why_no_value(objective, known)
    return TrialState.COMPLETE, None


def objective_values(outcome: TrialOutcome, space: SearchSpace, predicted: Mapping[str, Any]) -> list[float]:
    """Return the values of the objectives in their order, for a trial that is COMPLETE."""
    known = _attributes(outcome, predicted)
    return [float(value_of(objective, known)) for objective in space.goals.objectives]


def _attributes(outcome: TrialOutcome, predicted: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the part of the record that holds values of objectives."""
    return {PREDICTED: predicted, METRICS: outcome.metrics, MEASURED: outcome.measured}


def _why_no_value(objective: Objective, known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the reason of a trial without a finite value of the objective: it is missing, or it is no such number."""
    name = objective.name
    for holder in holders(objective):
        if name in known[holder]:
            return f"diverged: {name} is {quoted(known[holder][name])}"
    return f"missing metric: no {name!r} was {'measured' if name in OBJECTIVES else 'reported'}"


def reusable_result(
    known: Mapping[str, ReusableTrial], space: SearchSpace, candidate: Candidate
) -> ReusableTrial | None:
    """Return the result of another run for a candidate, if it has every objective of this one.

    known  canonical key → the results of other runs
    """
    found = None if candidate.repeat else known.get(candidate.topology.key)
    if found is None:
        return None
    state, _ = final_state(TrialOutcome.of_complete(found.trial), space, candidate.predicted)
    return found if state == TrialState.COMPLETE else None
