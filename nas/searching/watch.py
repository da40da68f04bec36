"""Threads beside a search: what others do in its study, notes and plots for them, and what its signs of life tell."""

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

from optuna.trial import TrialState

from nas.errors import Dismissed, message_of
from nas.searching.candidate import Candidate
from nas.searching.progress import Progress
from nas.searching.session import Session
from nas.study import pulse
from nas.study.attributes import ended_by_person, number_at
from nas.study.description import asks_to_stop
from nas.study.journal import is_created
from nas.study.lease import STORAGE_ERRORS
from nas.study.membership import BEAT_S
from nas.watching.publisher import Publisher

if TYPE_CHECKING:
    from nas.searching.active_training import ActiveTraining
    from nas.searching.searcher import SessionSearcher

LOOK_S = 2.0  # seconds between two looks at what people and other processes have done in the study
PUBLISH_S = 5.0  # seconds between two publications, at least
PACE = 20  # a publication is followed by a pause of as many times its duration, so that it takes a twentieth of a core


class Watch:
    """Runs two threads in a `with` statement: one that looks at the study, and one that publishes.

    searcher  is told which candidates a person has dismissed, and to stop
    ended     why the search is over, for the last sign of life
    error     why something could not be written that people look at; None if everything was

    What fails here never ends the search. Errors of the storage are left to its writer, which cannot do without it.
    """

    def __init__(self, session: Session, searcher: SessionSearcher, progress: Progress) -> None:
        self.session, self.searcher, self.progress = session, searcher, progress
        self.error: str | None = None
        self.ended: str | None = None
        self.publisher = Publisher(session.run)
        self._asked: str | None = None
        self._storage = session.run.storage
        self._study = self._storage.get_study_id_from_name(session.run.study_name)
        self._reason = searcher.stop_reason
        searcher.stop_reason = lambda: self._reason() or self._asked or self._lost()
        if (membership := session.writer.membership) is not None:
            membership.sign, membership.ending = self.sign, "stopped by an error"
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
        """Publish what is left; the study is whole by then."""
        self._guarded(self.publisher.publish, True)

    def _look(self) -> None:
        """Look again and again at what people ask for, and at what other processes do."""
        while not self._over.wait(LOOK_S):
            self._guarded(self._look_at_running)
            self._guarded(self._heed_stop)

    def _lost(self) -> str | None:
        """Return why this process does not take part in the search any more."""
        membership = self.session.writer.membership
        return None if membership is None else membership.lost

    def _publish(self) -> None:
        """Publish again and again, with pauses so long that it takes a twentieth of a core."""
        took = 0.0
        while not self._over.wait(max(PUBLISH_S, PACE * took)):
            began = time.monotonic()
            self._guarded(self.publisher.publish)
            took = time.monotonic() - began

    def _look_at_running(self) -> None:
        """Find the candidates whose trials others have ended, and take the trials of processes that have died."""
        ours = [one for one in tuple(self.session.running) if is_created(one.handle)]
        running = self.session.writer.trials(TrialState.RUNNING)
        numbers = {handle.number for handle in running}
        for candidate in ours:
            if candidate.number not in numbers and (candidate.lost or self._is_dismissed(candidate)):
                self.searcher.dismissed.add(candidate)
        if self.session.others.present:
            self.session.writer.rescue(running)
            self.session.others.read()

    def _is_dismissed(self, candidate: Candidate) -> bool:
        return ended_by_person(self._storage.get_trial(candidate.handle.result().id))

    def _heed_stop(self) -> None:
        """Stop the search if a person asks for it."""
        if self.publisher.stop_ticked or asks_to_stop(self._storage.get_study_user_attrs(self._study)):
            self._asked = Dismissed.reason

    def sign(self) -> pulse.Pulse:
        """Return a sign of life."""
        now, progress, machine = time.monotonic(), self.progress, self.searcher.cluster.machine
        trained = [
            one for one in tuple(self.searcher.trainings.values()) if one.began and is_created(one.candidate.handle)
        ]
        return pulse.Pulse(
            host=socket.gethostname(),
            pid=os.getpid(),
            alive=datetime.now(UTC),
            every=BEAT_S,
            slots=machine.slots,
            gpu=machine.gpu,
            slots_per_gpu=machine.device.slots if machine.gpu else 1,
            utilisation=progress.utilisation(now if self.ended is None else None),
            seconds_left=progress.seconds_left(now),
            running=tuple(map(self._running, trained)),
            ended=self.ended,
        )

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
            self.error = self.error or f"{type(error).__name__}: {message_of(error, 200)}"
