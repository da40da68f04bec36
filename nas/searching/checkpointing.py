"""The checkpoints of the trainings of a search: when they are made, and what becomes of them.

The process that trains makes a checkpoint between two epochs and goes on; the rest is done on a thread of the driver,
so that neither a slot nor Tune waits. Ray carries the bytes: the folder of the run need not be shared by the nodes.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import ray
from optuna.trial import TrialState

from nas.searching.candidate import Candidate
from nas.searching.detached import detached
from nas.study.checkpoints import Checkpoint, CheckpointFolder
from nas.study.journal import is_created
from nas.study.writer import StudyWriter

EVERY_S = 30  # seconds of training between two checkpoints of a candidate, at least
PACE = 20  # and so many times what the last one took, so that no more than a twentieth of the time is spent on them
LOOK_S = 0.2  # seconds after which a wait for a process looks whether the search is over
WAIT_S = 60  # seconds for a checkpoint to arrive


class Checkpointing:
    """Keeps a checkpoint of every training that takes long enough, until the training ends. To be closed.

    writer  of the study, in whose folder the checkpoints are
    epochs  of the full budget; None where a function decides them

    trouble  why no more checkpoints are made; None while they are
    """

    def __init__(self, writer: StudyWriter, epochs: int | None) -> None:
        self.folder, self.epochs = CheckpointFolder(writer.record.checkpoints_folder), epochs
        self.trouble: str | None = None
        self._told: str | None = None  # the trouble that `new_trouble` has returned
        self._took = 0.0  # seconds for the last checkpoint: to make it, to carry it and to write it
        self._since: dict[Candidate, float] = {}  # when its training began, or its last checkpoint (time.monotonic)
        self._kept: set[Candidate] = set()  # those that may have a file
        self._pending: set[Candidate] = set()  # those whose process makes one
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        if self.folder.path.is_dir():
            unfinished = writer.trials(TrialState.RUNNING, TrialState.WAITING)
            self.folder.keep_only({handle.number for handle in unfinished})

    def find(self, candidate: Candidate) -> Checkpoint | None:
        """Return the checkpoint from which a candidate that is to be trained can go on; None if there is none."""
        found = self.folder.read(candidate.number) if is_created(candidate.handle) else None
        if found is not None:
            self._kept.add(candidate)
        return found

    def began(self, candidate: Candidate) -> None:
        """Note that the training of a candidate begins, or goes on."""
        self._since[candidate] = time.monotonic()

    def epoch_ended(self, candidate: Candidate, actor: Any, curve: Sequence[Mapping[str, Any]], busy: float) -> None:
        """Have a checkpoint made if it is time for one. Called before the process begins the next epoch.

        actor  the handle of the process
        curve  the record of every epoch so far, with which its slot was busy for `busy` seconds
        """
        now, over = time.monotonic(), self.epochs is not None and len(curve) >= self.epochs
        early = now < self._since[candidate] + max(EVERY_S, PACE * self._took)
        if over or early or self.trouble is not None or candidate in self._pending or not is_created(candidate.handle):
            return
        self._since[candidate] = now
        self._pending.add(candidate)
        self._kept.add(candidate)
        self._do(self._keep, candidate, actor.checkpoint.remote(), list(map(dict, curve)), busy, now)

    def ended(self, candidate: Candidate) -> None:
        """Delete the checkpoint of a candidate that is not trained any more."""
        self._since.pop(candidate, None)
        if candidate in self._kept:
            self._kept.remove(candidate)
            self._do(self.folder.drop, candidate.number)

    def new_trouble(self) -> str | None:
        """Return why no more checkpoints are made, once; None before and after."""
        told, self._told = self._told, self.trouble
        return self.trouble if told is None else None

    def close(self) -> None:
        """Wait until nothing is written any more. The checkpoints of trainings that have not ended stay."""
        self._closing.set()
        self._thread.shutdown(wait=True)

    def _keep(
        self, candidate: Candidate, made: ray.ObjectRef[Any], curve: list[dict[str, Any]], busy: float, asked: float
    ) -> None:
        """Wait for a checkpoint that a process makes after the last epoch of `curve`, and write it."""
        try:
            epoch, content = self._wait_for(made) or (0, b"")
            if epoch == len(curve):
                trouble = self.folder.write(candidate.number, Checkpoint(curve, busy, content))
                self.trouble = self.trouble or trouble
                self._took = time.monotonic() - asked
        finally:
            self._pending.discard(candidate)

    def _wait_for(self, made: ray.ObjectRef[Any]) -> tuple[int, bytes] | None:
        """Return what a process has made; None if it has died, has made nothing, or takes too long."""
        arriving: Future[Any] = detached(functools.partial(ray.get, made, timeout=WAIT_S))
        while not arriving.done():
            if self._closing.is_set():
                return None
            wait([arriving], LOOK_S)
        return None if arriving.exception() is not None else arriving.result()

    def _do(self, act: Callable[..., object], *arguments: Any) -> None:
        """Call act(*arguments) on the thread, unless the search is over."""
        with contextlib.suppress(RuntimeError):  # the thread has ended
            self._thread.submit(act, *arguments)
