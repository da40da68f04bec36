"""A thread beside a search for people who look at its study: signs of life, notes, plots, and what they ask for."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.trial import TrialState

from nas.errors import Dismissed
from nas.searching.candidate import Candidate
from nas.searching.progress import Progress
from nas.searching.session import Session
from nas.searching.slots import Machine
from nas.study import pulse
from nas.study.attributes import ended_by_person
from nas.watching.publisher import Publisher

if TYPE_CHECKING:
    from nas.searching.searcher import SessionSearcher

LOOK_S = 2.0  # seconds between two looks at what people have done in the study
PUBLISH_S = 5.0  # seconds between two publications, at least
PACE = 20  # a publication is followed by a pause of as many times its duration, so that it takes a twentieth of a core
STORAGE_ERRORS = (OptunaError, sqlalchemy.exc.SQLAlchemyError, OSError)


class Watch:
    """Runs the thread in a `with` statement. Errors of the storage are left to the writer of the search.

    searcher  is told which candidates a person has dismissed
    ending    why the search is over, for the last sign of life
    asked     what a person asks of the search in its study: a reason to stop, or None
    error     why nothing is published any more; None if it is
    """

    def __init__(self, session: Session, searcher: SessionSearcher, progress: Progress, machine: Machine) -> None:
        self.session, self.searcher, self.progress, self.machine = session, searcher, progress, machine
        self.asked: str | None = None
        self.error: str | None = None
        self.ending = "stopped by an error"
        self.publisher = Publisher(session.run)
        self._storage = session.run.storage
        self._study = self._storage.get_study_id_from_name(session.run.study_name)
        self._reason = searcher.stop_reason
        searcher.stop_reason = lambda: self.asked or self._reason()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def end(self) -> None:
        """Write the last sign of life, and publish what is left; the study is whole by then."""
        self._guarded(lambda: self._beat(self.ending))
        self._guarded(lambda: self._publish(final=True))

    def _run(self) -> None:
        published = 0.0
        while True:
            self._guarded(self._look)
            self._guarded(self._beat)
            if time.monotonic() >= published and self.error is None:
                began = time.monotonic()
                self._guarded(self._publish)
                took = time.monotonic() - began
                published = time.monotonic() + max(PUBLISH_S, PACE * took)
            if self._over.wait(LOOK_S):
                return

    def _look(self) -> None:
        """Find candidates that a person has ended, and whether the search is to stop."""
        running = [one for one in tuple(self.session.running) if one.handle.done()]
        if self._storage.get_n_trials(self._study, TrialState.RUNNING) < len(running):
            self.searcher.dismissed.update(filter(self._is_dismissed, running))
        if self.publisher.stop_wanted:
            self.asked = Dismissed.reason

    def _is_dismissed(self, candidate: Candidate) -> bool:
        return ended_by_person(self._storage.get_trial(candidate.handle.result().id))

    def _beat(self, ended: str | None = None) -> None:
        """Write a sign of life."""
        now, progress, machine = time.monotonic(), self.progress, self.machine
        trained = [one for one in tuple(self.searcher.trainings.values()) if one.began and one.candidate.handle.done()]
        pulse.write(
            self._storage,
            self._study,
            pulse.Pulse(
                host=socket.gethostname(),
                pid=os.getpid(),
                alive=datetime.now(UTC),
                slots=machine.slots,
                gpu=machine.gpu,
                slots_per_gpu=machine.device.slots if machine.gpu else 1,
                utilisation=progress.utilisation(now),
                seconds_left=progress.seconds_left(now),
                running=tuple(
                    pulse.RunningTrial(trial=one.candidate.number, node=one.place, slots=one.candidate.slots)
                    for one in trained
                ),
                ended=ended,
            ),
        )

    def _guarded(self, act: Callable[[], None]) -> None:
        """Call act(). A storage that fails now may be back at the next look."""
        with contextlib.suppress(*STORAGE_ERRORS):  # the writer of the search, which cannot do without it, raises them
            act()

    def _publish(self, final: bool = False) -> None:
        try:
            self.publisher.publish(final)
        except STORAGE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001  # a plot that cannot be drawn must not end the search
            self.error = f"{type(error).__name__}: {error}"
