"""Evaluate topologies by a function of the user: a simulator, a remote service, a training of another kind.

    def score(topology, *, seed, report):
        for epoch in range(10):
            report({"accuracy": …})     # optional; early stopping can end the call here
        return {"accuracy": …}          # or nothing: then the last report is the result

If the function raises an exception, the candidate fails, and the exception is recorded as the reason. The function runs
in a thread of its own. If the candidate is stopped early, its next call of `report` raises CallStopped, which ends the
thread.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nas.errors import CandidateError, message_of
from nas.results.records import Record, checked_record
from nas.tasks import function
from nas.topology import Topology


class CallStopped(BaseException):
    """Raised by `report` in the user's function when the candidate is stopped early.

    It derives from BaseException, so that `except Exception` in the function does not catch it.
    """


class FunctionEvaluator:
    """Evaluate topologies by the function at `location`; the interface is that of nas.training.Evaluator.

    location         FILE.py:FUNCTION or package.module:function
    folder           where modules are looked for, besides Python's path
    device, threads  not used: the function decides where it computes
    """

    network = None

    def __init__(self, location: str, folder: Path, *, device: str = "cpu", threads: int = 1) -> None:
        _, self.function = function.find(location, folder)
        self.epochs: float = math.inf  # known when the function returns
        self.measured: dict[str, float] = {}

    def start(self, topology: Topology, *, seed: int) -> Iterator[Record]:
        """Call the function and yield {"epoch": number, metric: value, …} for every report and for the return value.

        Reports are numbered from 1; the return value has the number of the last report. `epochs` and `measured`
        ({"seconds": …}) are set before each is yielded. Closing the iterator stops the call. Raises what the
        function raises, and CandidateError if it reports or returns something else than a dict of numbers.
        """
        began, self.epochs, self.measured = time.perf_counter(), math.inf, {}
        call, epoch = _RunningCall(self.function, topology, seed), 0
        try:
            while (reported := call.next()) is not None:
                epoch += not call.returned
                record = checked_record(reported, max(1, epoch))
                self.measured = {"seconds": time.perf_counter() - began}
                self.epochs = record["epoch"] if call.returned else math.inf
                yield record
        finally:
            call.stop()


class _RunningCall:
    """One call of the function in a thread, which waits after every report until the next one is asked for."""

    def __init__(self, function: Callable[..., Any], topology: Topology, seed: int) -> None:
        self._thread = threading.Thread(target=self._run, args=(function, topology, seed), daemon=True)
        self._reports: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()  # (returned?, metrics or exception)
        self._continue = threading.Semaphore(0)
        self._stopped = False
        self.returned = False
        self._thread.start()

    def next(self) -> object:
        """Return what is reported next, or at last returned; None if there is no more.

        Raises the exception that the function raised; one that would end this process, as sys.exit does, is a
        CandidateError.
        """
        if self.returned:
            return None
        self._continue.release()
        self.returned, reported = self._reports.get()
        if isinstance(reported, Exception):
            raise reported
        if isinstance(reported, BaseException):
            said = message_of(reported)
            raise CandidateError(": ".join(filter(None, ("the function raised " + type(reported).__name__, said))))
        return reported if self.returned or reported is not None else "nothing"

    def stop(self) -> None:
        """End the thread: `report`, which waits in it, raises CallStopped."""
        self._stopped = True
        self._continue.release()

    def _run(self, function: Callable[..., Any], topology: Topology, seed: int) -> None:
        try:
            self._wait()
            self._reports.put((True, function(topology, seed=seed, report=self._report)))
        except BaseException as error:  # noqa: BLE001  # `next` raises it again in the thread that asked
            if not self._stopped:
                self._reports.put((True, error))

    def _report(self, metrics: object) -> None:
        """Pass metrics to `next` and wait: this is the argument `report` of the function."""
        self._reports.put((False, metrics))
        self._wait()

    def _wait(self) -> None:
        """Wait until `next` or `stop` is called; after `stop` raise CallStopped."""
        self._continue.acquire()
        if self._stopped:
            raise CallStopped
