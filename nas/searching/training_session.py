"""What a searcher needs of a session: that of a search, of a confirmation or of an ablation. Does not import Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from optuna.trial import FrozenTrial

from nas.searching.candidate import Candidate
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.space import SearchSpace
from nas.study.writer import StudyWriter


class TrainingSession(Protocol):
    """Decides what is trained, and records it: nas.searching.session.Session, or that of a confirmation.

    space      how candidates are trained
    observers  receive the events
    writer     writes its study
    """

    space: SearchSpace
    writer: StudyWriter
    observers: Sequence[SearchObserver]

    @property
    def past(self) -> Sequence[FrozenTrial]:
        """The trials of earlier sessions."""

    @property
    def waits(self) -> bool:
        """Whether there may be more to train, although there is nothing now and nothing is trained here."""

    def ask(self, patience: float | None = None) -> Candidate | None:
        """Return the next candidate to train; None if there is none within so many seconds."""

    def report(self, candidate: Candidate, record: Mapping[str, Any]) -> None:
        """Record the end of an epoch."""

    def tell(
        self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None] = lambda: None
    ) -> None:
        """Record how the training of a candidate ended; `weights` returns those of the trained network."""

    def dismiss(self, candidate: Candidate) -> None:
        """Let go of a candidate whose trial a person has ended: it does not count."""
