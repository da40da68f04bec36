"""The interface through which a search reports its progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial

from nas.errors import message_of
from nas.searching.candidate import Candidate
from nas.searching.outcome import TrialOutcome
from nas.study.outage import Outage


class SearchObserver:
    """Receives the events of a search. The methods of this class do nothing.

    They are called on the thread of the search; those of the storage on that of its writer, because the search may be
    waiting for it.
    """

    _failed = False  # whether a method has raised an exception, which was said on stderr

    def started(self, candidate: Candidate) -> None:
        """Handle that the candidate was chosen: it is trained as soon as a slot is free."""

    def epoch_ended(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """Handle the record of an epoch ({epoch, <metric>, …}); its slot was busy with it for `busy` seconds."""

    def retried(self, candidate: Candidate, reason: str) -> None:
        """Handle that the training starts again; its epochs so far do not count, but for those told by `continued`."""

    def continued(self, candidate: Candidate, curve: Sequence[Mapping[str, Any]]) -> None:
        """Handle that the training goes on after the epochs of `curve`, which another process has trained."""

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
        """Handle the end of a training; `state` is the name of the trial's state, `reason` why it failed."""

    def changed_by_others(self, trial: FrozenTrial) -> None:
        """Handle that another process that searches the run has begun, ended or queued a trial."""

    def dismissed(self, candidate: Candidate) -> None:
        """Handle that a person has ended the trial of the candidate: it does not count as one of the trials."""

    def refused(self, candidate: Candidate) -> None:
        """Handle that the candidate is not trained, and does not count as one of the trials asked for."""

    def machines_changed(self, slots: int, message: str) -> None:
        """Handle that nodes came, went or cannot train, as the message says; there are so many slots now."""

    def checkpoints_stopped(self, reason: str) -> None:
        """Handle that no more checkpoints are written, for this reason."""

    def reused(self, candidate: Candidate, outcome: TrialOutcome) -> None:
        """Handle that the candidate has the result of another run: it is not trained and does not count."""

    def storage_went(self, reason: str, since: datetime) -> None:
        """Handle that the storage is locked or away: what is to be written waits in memory."""

    def storage_came_back(self, seconds: float) -> None:
        """Handle that the storage can be written again, after so many seconds."""


def tell(observers: Iterable[SearchObserver], event: Callable[[SearchObserver], None]) -> None:
    """Call event(observer) for each observer. If one raises an exception, that is said once, and the search goes on.

    A search is worth more than what shows it: the log of its lines may be a file on a full disk, or a closed terminal.
    """
    for observer in observers:
        try:
            event(observer)
        except Exception as error:  # noqa: BLE001
            if not observer._failed:
                observer._failed = True
                reason = f"{type(error).__name__}: {message_of(error, 200)}"
                with contextlib.suppress(OSError, ValueError):
                    print(f"nas: {type(observer).__name__} failed, the search goes on: {reason}", file=sys.stderr)


def tell_of_outages(outage: Outage, observers: Callable[[], Sequence[SearchObserver]]) -> None:
    """Let an outage be told to the observers that there are by then."""

    def began(reason: str, since: datetime) -> None:
        tell(observers(), lambda observer: observer.storage_went(reason, since))

    def ended(seconds: float) -> None:
        tell(observers(), lambda observer: observer.storage_came_back(seconds))

    outage.began, outage.ended = began, ended
