"""Write a search into its Optuna study, on a background thread, so that no slot waits for a disk or a network.

Writes happen in their order. A trial is created in one transaction, and ends in one with all that its training adds to
the record. If the process dies, a trial that had just begun may be missing, and a trial that had just ended may still
be RUNNING; a resumed search queues the latter again.

While the storage is locked or away, a write is tried again and again (nas.study.outage), and what comes after it waits
in memory. A write may have arrived although its connection broke: every one may be done twice. If the outage takes too
long, the results that are left go into the journal of the run (nas.study.journal), which the next session writes first.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from nas.errors import RunError
from nas.study.attributes import OUTCOME, OWNER, number_at
from nas.study.compat import Held
from nas.study.journal import Journal, Result, UnwrittenResult, is_created, journals, read_journal
from nas.study.outage import TIMEOUT_S, Outage, StorageAway
from nas.study.plain import as_json
from nas.study.shown import user_attributes
from nas.study.storage import driver_message
from nas.study.trial_writes import QUEUED, Judge, Record, TrialHandle, TrialWrites, created, resolved

__all__ = ["Judge", "Record", "StudyWriter", "TrialHandle", "created", "resolved"]

if TYPE_CHECKING:
    from nas.study.membership import Membership

T = TypeVar("T")
REPORT_S = 0.5  # seconds: a function may report a thousand steps in a second, and each write takes milliseconds


class StudyWriter:
    """Writes the trials of a record. `claim`, `requeue`, `rescue`, `flush`, `replay` and `close` wait for the storage.

    outage      how long an outage of the storage may take, and who is told of it
    membership  of the search of the study: its token stands in every trial that is begun here, and nothing is written
                once it has ended; None if this process alone may write

    If something cannot be written, `check`, `flush` and `close` raise a RunError.
    """

    def __init__(self, record: Record, timeout: float | None = None, membership: Membership | None = None) -> None:
        self.record, self.outage = record, Outage(TIMEOUT_S if timeout is None else timeout)
        self.membership, self.owner = membership, None if membership is None else membership.token
        self._writes = TrialWrites(record, self.owner)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="study-writer")
        self._last: Future[Any] | None = None  # what the thread was given last
        self._error: RunError | None = None  # the first one
        self._journal = Journal()
        self._begun: dict[Future[TrialHandle] | TrialHandle, FrozenTrial] = {}  # what is being trained
        self._reported: dict[Future[TrialHandle], float] = {}  # when the last epoch of a trial was reported
        self._reports: dict[Future[TrialHandle], tuple[int, float]] = {}  # the epochs that are to be written
        self._reports_lock = threading.Lock()

    @property
    def is_away(self) -> bool:
        """Whether the last write failed because the storage is locked or away."""
        return self.outage.since is not None

    @property
    def is_alone(self) -> bool:
        """Whether no other process searches the study, as far as is known."""
        return self.membership is None or not self.membership.others

    def trials(self, *states: TrialState) -> dict[TrialHandle, FrozenTrial]:
        """Return the trials of these states (all without any) that the storage holds now; queued writes are missing.

        Raises StorageAway if the storage does not answer.
        """
        return self._writes.trials(*states)

    def add(self, trial: FrozenTrial, judge: Judge | None = None) -> Future[TrialHandle]:
        """Create a trial with its parameters and attributes; the judge is called on the thread that writes."""
        handle = self._write(partial(self._writes.add, trial, judge=judge))
        if trial.state == TrialState.RUNNING:
            self._begun[handle] = trial
        return handle

    def claim(self, handle: TrialHandle) -> bool:
        """Set a WAITING trial to RUNNING; return False if another process was faster, or if somebody has ended it."""
        return self._write(partial(self._writes.claim, handle, datetime.now())).result()

    def fill_in(self, handle: TrialHandle, trial: FrozenTrial, known: FrozenTrial) -> None:
        """Write the parameters and attributes of `known` that the queued `trial` lacks."""
        params = {name: value for name, value in known.params.items() if name not in trial.params}
        shown = {name: value for name, value in known.user_attrs.items() if trial.user_attrs.get(name) != value}
        noted = {name: value for name, value in known.system_attrs.items() if trial.system_attrs.get(name) != value}
        self._write(lambda again: self._writes.fill_in(handle, params, known.distributions, noted, shown))
        self._begun[handle] = known

    def report(self, handle: Future[TrialHandle], record: Mapping[str, Any], metric: str) -> None:
        """Write the metric of an epoch of a trial that is being trained, but no more than one in REPORT_S for a trial.

        record  that of the epoch: {epoch, <metric>, …}; one without the metric is left out

        The whole curve is written when the trial ends; during an outage nothing else is.
        """
        now, epoch, value = time.monotonic(), number_at(record, "epoch"), number_at(record, metric)
        due = not self.is_away and now >= self._reported.get(handle, -math.inf) + REPORT_S
        if due and math.isfinite(epoch) and math.isfinite(value):
            self._reported[handle] = now
            with self._reports_lock:
                batch = self._reports
                batch[handle] = int(epoch), float(value)
            if len(batch) == 1:
                self._write(partial(self._write_reports, batch))

    def _write_reports(self, batch: dict[Future[TrialHandle], tuple[int, float]], again: bool) -> None:
        """Write what was reported until now, of all trials in one transaction."""
        with self._reports_lock:
            if self._reports is batch:
                self._reports = {}
        self._writes.report(batch)

    def forget(self, handle: Future[TrialHandle]) -> None:
        """Forget a trial that somebody else has ended."""
        self._reported.pop(handle, None)
        self._begun_as(handle)

    def finish(
        self,
        handle: Future[TrialHandle],
        state: TrialState,
        outcome: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> None:
        """Write how a trial ended: what its training adds to the record, then its state and its objective values.

        A trial that a person has ended in the meantime stays as it is.
        """
        self._reported.pop(handle, None)
        begun, ended = self._begun_as(handle), datetime.now()

        def keep() -> None:
            shown = {**(begun.user_attrs if begun else {}), **user_attributes(outcome)}
            noted = {**(begun.system_attrs if begun else {}), **({OUTCOME: outcome} if outcome else {})}
            result = UnwrittenResult(handle, begun, state, values, as_json(shown), as_json(noted), ended)
            self._journal.results.append(result)

        self._write(lambda again: self._writes.finish(handle, state, outcome, values), otherwise=keep)

    def requeue(self, handles: Iterable[Future[TrialHandle] | TrialHandle]) -> None:
        """Set trials that began here and did not end to WAITING again; they keep their parameters."""
        for handle in handles:
            self._write(partial(self._requeue, handle if isinstance(handle, Future) else resolved(handle)))
        self.flush()

    def rescue(self, running: Mapping[TrialHandle, FrozenTrial], *, unowned: bool = False) -> None:
        """Set trials to WAITING again whose owner is no member of the search any more.

        running  trials that were RUNNING, read before this call
        unowned  whether trials without an owner are among them: those of older versions and of other programs

        It may be called on any thread. Raises StorageAway if the storage does not answer.
        """
        lost = {handle: owner for handle, owner in self._orphans(running) if unowned or owner is not None}
        if lost and self.membership is not None:
            self.membership.look()  # an owner became a member before it began a trial, maybe since the last look
            lost = dict(self._orphans({handle: running[handle] for handle in lost}))
        for handle, owner in lost.items():
            self._writes.take(handle, Held(TrialState.RUNNING, owner), QUEUED)

    def _orphans(self, running: Mapping[TrialHandle, FrozenTrial]) -> Iterator[tuple[TrialHandle, Any]]:
        """Yield the trials that no member owns, each with its owner."""
        members = [] if self.membership is None else [one.token for one in self.membership.members]
        for handle, trial in running.items():
            if (owner := trial.system_attrs.get(OWNER)) not in members:
                yield handle, owner

    def keep_weights(self, handle: Future[TrialHandle], weights: bytes) -> None:
        """Write the weights of a leader (a safetensors file), whole or not at all."""
        self._write(
            lambda again: self._writes.keep_weights(handle, weights),
            otherwise=lambda: self._journal.weights.update({handle: weights}),
            on_disk=True,
        )

    def drop_weights(self, leaders: Collection[int], known: Collection[int] | None = None) -> None:
        """Delete the weights of every trial, or of every known one, that is not among the leaders."""
        self._write(lambda again: self._writes.drop_weights(leaders, known), on_disk=True)

    def replay(self) -> int:
        """Write the journals that earlier sessions have left, and return the number of their results.

        Raises RunError if a journal is damaged or cannot be written; it stays as it is then.
        """
        written = 0
        for path in journals(self.record.journal_folder):
            results = read_journal(path)
            known = self.trials()
            self._writes.check(results, known)
            for result, trial in results:
                self._write(partial(self._replay, result, trial, known, path.parent))
            self.flush()
            path.unlink()
            written += len(results)
        return written

    def check(self) -> None:
        """Raise RunError if something could not be written."""
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Wait until everything is written. Raises RunError if something could not be."""
        if self._last is not None:
            wait((self._last,))
        self.check()

    def close(self) -> None:
        """Wait until everything is written and end the thread. Raises RunError if something could not be written.

        What could not is in the journal then, or the error says that it is lost.
        """
        self._thread.shutdown(wait=True)
        if self._error is not None:
            error, self._error = self._error, None
            raise RunError("; ".join((str(error), *self._leave_journal()))) from error

    def _leave_journal(self) -> Iterator[str]:
        """Write the journal, and yield where it is and what is lost."""
        journal, self._journal = self._journal, Journal()
        for handle in [one for one in journal.weights if is_created(one)]:
            with contextlib.suppress(OSError):
                self._writes.keep_weights(handle, journal.weights[handle])
                del journal.weights[handle]
        count = _counted(len(journal.results), "result")
        try:
            path = journal.write(self.record.journal_folder)
        except OSError as error:
            yield f"no journal can be written ({error.strerror}): {count} lost"
        else:
            if path is not None:
                yield f"{count} in {path}, which --resume writes first"
        if journal.weights:
            yield f"the weights of {_counted(len(journal.weights), 'leader')} lost"

    def _replay(
        self, result: Result, trial: FrozenTrial, known: Mapping[TrialHandle, FrozenTrial], folder: Path, again: bool
    ) -> None:
        self._writes.replay(result, trial, self.trials() if again else known, folder)

    def _requeue(self, handle: Future[TrialHandle], again: bool) -> bool:
        return self._writes.requeue(handle)

    def _begun_as(self, handle: Future[TrialHandle]) -> FrozenTrial | None:
        """Return what a trial was before its training, and forget it."""
        begun = self._begun.pop(handle, None)
        return begun or (self._begun.pop(handle.result(), None) if is_created(handle) else None)

    def _write(
        self, write: Callable[[bool], T], otherwise: Callable[[], None] = lambda: None, on_disk: bool = False
    ) -> Future[T]:
        """Call write(again) on the thread until it succeeds; `again` is whether it was tried before.

        otherwise  is called if it never does
        on_disk    whether it needs no storage
        """
        self._last = future = self._thread.submit(self._outlast, write, otherwise, on_disk)
        return future

    def _as_member(self, write: Callable[[bool], T], again: bool) -> T:
        """Return write(again). Raises RunError if this process is no member any more: others train its candidates."""
        if self.membership is not None:
            self.membership.confirm()
        return write(again)

    def _outlast(self, write: Callable[[bool], T], otherwise: Callable[[], None], on_disk: bool) -> T:
        try:
            if not isinstance(self._error, StorageAway):
                return self.outage.outlast(write if on_disk else partial(self._as_member, write))
            if on_disk:
                return write(False)
            raise self._error  # nothing is tried after an outage that took too long
        except Exception as error:
            otherwise()
            failure = RunError(str(error)) if on_disk and isinstance(error, StorageAway) else _translated(error)
            self._error = self._error or failure
            raise failure from error


def _counted(count: int, what: str) -> str:
    return f"{count} {what} is" if count == 1 else f"{count} {what}s are"


def _translated(error: Exception) -> RunError:
    """Return the error of a storage, a file system or a program as one line for people."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, OSError):
        return RunError(f"the record cannot be written: {error.strerror}")
    if isinstance(error, KeyError):
        return RunError("the record cannot be written: the storage does not hold its study, or its trial, any more")
    return RunError(f"the record cannot be written: {driver_message(error)}")
