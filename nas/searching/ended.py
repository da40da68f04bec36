"""Trainings that have ended, and what the study records of their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from optuna.trial import TrialState

from nas.searching.candidate import Candidate
from nas.searching.outcome import TrialOutcome, final_state, objective_values
from nas.space import SearchSpace
from nas.study.attributes import CURVE, MEASURED, METRICS, REASON

CREATED_S = 1.0  # seconds for the trial of a candidate to be created, after its training has ended


class EndedTraining(NamedTuple):
    """A training that has ended; `content` are its weights."""

    candidate: Candidate
    outcome: TrialOutcome
    content: bytes | None

    def weights(self) -> bytes | None:
        """Return the weights."""
        return self.content


class RecordedEnd(NamedTuple):
    """The end of a training as the study records it: the state, why it failed, what the record gains, the values.

    values  None unless the state is COMPLETE
    """

    state: TrialState
    reason: str | None
    attributes: dict[str, Any]
    values: Sequence[float] | None


def recorded_end(candidate: Candidate, outcome: TrialOutcome, space: SearchSpace) -> RecordedEnd:
    """Return what the study records of the end of a training."""
    state, reason = final_state(outcome, space, candidate.predicted)
    attributes: dict[str, Any] = {CURVE: list(outcome.curve), MEASURED: dict(outcome.measured)}
    attributes |= {METRICS: outcome.metrics} if reason is None else {REASON: reason}
    complete = state == TrialState.COMPLETE
    return RecordedEnd(
        state, reason, attributes, objective_values(outcome, space, candidate.predicted) if complete else None
    )
