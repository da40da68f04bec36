"""A session of a search without Ray: its trainings are scripted (tests.helpers.scripted)."""

from __future__ import annotations

from typing import Any

from optuna.trial import FrozenTrial

from nas.searching.candidate import Candidate
from nas.searching.outcome import TrialOutcome
from nas.searching.session import Session
from tests.helpers import scripted


def trained(candidate: Candidate, **changes: Any) -> TrialOutcome:
    """Return the outcome of a scripted training to the full budget, with changes."""
    accuracy = scripted.accuracy(candidate.topology)
    curve = [{"epoch": epoch, "accuracy": accuracy * epoch / 2, "seconds": 0.5} for epoch in (1, 2)]
    outcome: dict[str, Any] = {"curve": curve, "full_budget": True, "measured": {"seconds": 1.0, "busy": 1.1}}
    return TrialOutcome(**(outcome | changes))


def drive(session: Session, count: int = 10**6) -> list[Candidate]:
    """Train up to `count` candidates, one after the other, and return them."""
    done: list[Candidate] = []
    while len(done) < count and (candidate := session.ask()) is not None:
        session.tell(candidate, trained(candidate))
        done.append(candidate)
    session.writer.flush()
    return done


def trials_of(session: Session) -> list[FrozenTrial]:
    """Return the trials of the study, once everything is written."""
    session.writer.flush()
    return session.run.study.get_trials()
