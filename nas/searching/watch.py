"""Threads beside a search for people who look at its study: signs of life, notes, plots, and what they ask for."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.trial import TrialState

from nas.errors import Dismissed
from nas.searching.candidate import Candidate
from nas.searching.progress import Progress
from nas.searching.session import Session
from nas.study import pulse
from nas.study.attributes import ended_by_person, number_at
from nas.study.description import asks_to_stop
from nas.watching.publisher import Publisher

if TYPE_CHECKING:
    from nas.searching.active_training import ActiveTraining
    from nas.searching.searcher import SessionSearcher

LOOK_S = 2.0  # seconds between two looks at what people have done in the study
PUBLISH_S = 5.0  # seconds between two publications, at least
PACE = 20  # a publication is followed by a pause of as many times its duration, so that it takes a twentieth of a core
STORAGE_ERRORS = (OptunaError, sqlalchemy.exc.SQLAlchemyError)


class Watch:
    """Runs two threads in a `with` statement: one that looks and gives signs of life, and one that publishes.

    searcher  is told which candidates a person has dismissed, and to stop
    ending    why the search is over, for the last sign of life
    error     why something could not be written that people look at; None if everything was

    What fails here never ends the search. Errors of the storage are left to its writer, which cannot do without it.
    """

    def __init__(self, session: Session, searcher: SessionSearcher, progress: Progress) -> None:
        self.session, self.searcher, self.progress = session, searcher, progress
        self.error: str | None = None
        self.ending = "stopped by an error"
        self.publisher = Publisher(session.run)
        self._asked: str | None = None
        self._storage = session.run.storage
        self._study = self._storage.get_study_id_from_name(session.run.study_name)
        self._reason = searcher.stop_reason
        searcher.stop_reason = lambda: self._reason() or self._asked
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=each, name="watch", daemon=True) for each in (self._look, self._publish)
        ]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def end(self) -> None:
        """Write the last sign of life, and publish what is left; the study is whole by then."""
        self._guarded(self._beat, self.ending)
        self._guarded(self.publisher.publish, True)

    def _look(self) -> None:
        """Look again and again at what people ask for, and give a sign of life."""
        while not self._over.wait(LOOK_S):
            self._guarded(self._find_dismissed)
            self._guarded(self._heed_stop)
            self._guarded(self._beat)

    def _publish(self) -> None:
        """Publish again and again, with pauses so long that it takes a twentieth of a core."""
        took = 0.0
        while not self._over.wait(max(PUBLISH_S, PACE * took)):
            began = time.monotonic()
            self._guarded(self.publisher.publish)
            took = time.monotonic() - began

    def _find_dismissed(self) -> None:
        """Find the candidates whose trials a person has ended."""
        running = [one for one in tuple(self.session.running) if one.handle.done()]
        alive = self._storage.get_all_trials(self._study, deepcopy=False, states=(TrialState.RUNNING,))
        numbers = {trial.number for trial in alive}
        for candidate in running:
            if candidate.number not in numbers and self._is_dismissed(candidate):
                self.searcher.dismissed.add(candidate)

    def _is_dismissed(self, candidate: Candidate) -> bool:
        return ended_by_person(self._storage.get_trial(candidate.handle.result().id))

    def _heed_stop(self) -> None:
        """Stop the search if a person asks for it."""
        if self.publisher.stop_ticked or asks_to_stop(self._storage.get_study_user_attrs(self._study)):
            self._asked = Dismissed.reason

    def _beat(self, ended: str | None = None) -> None:
        """Write a sign of life."""
        now, progress, machine = time.monotonic(), self.progress, self.searcher.cluster.machine
        trained = [one for one in tuple(self.searcher.trainings.values()) if one.began and one.candidate.handle.done()]
        sign = pulse.Pulse(
            host=socket.gethostname(),
            pid=os.getpid(),
            alive=datetime.now(UTC),
            every=LOOK_S,
            slots=machine.slots,
            gpu=machine.gpu,
            slots_per_gpu=machine.device.slots if machine.gpu else 1,
            utilisation=progress.utilisation(now if ended is None else None),
            seconds_left=progress.seconds_left(now),
            running=tuple(map(self._running, trained)),
            ended=ended,
        )
        pulse.write(self._storage, self._study, sign)

    def _running(self, one: ActiveTraining) -> pulse.RunningTrial:
        last = one.curve[-1] if one.curve else {}
        epoch, value = number_at(last, "epoch"), number_at(last, self.progress.metric)
        return pulse.RunningTrial(
            trial=one.candidate.number,
            node=one.place,
            slots=one.candidate.slots,
            epoch=int(epoch) if math.isfinite(epoch) else 0,
            value=value if math.isfinite(value) else None,
        )

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call act(*arguments), and keep the first error that is none of the storage."""
        try:
            act(*arguments)
        except STORAGE_ERRORS:
            return
        except Exception as error:  # noqa: BLE001  # a plot that cannot be drawn must not end the search
            self.error = self.error or f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
