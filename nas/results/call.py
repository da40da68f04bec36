"""A function of the user's own that evaluates a topology: a simulator, a remote service, a training of another kind.

    def score(topology, *, seed, report):
        for epoch in range(10):
            report({"accuracy": …})     # may be left out; with it, early stopping can end the call here
        return {"accuracy": …}          # or nothing: then the last report counts

What it raises is the reason why the candidate failed. It is called in a thread, which ends in `report` where the
candidate is stopped.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.errors import TaskError
from nas.tasks import function
from nas.topology import Topology

Record = dict[str, Any]


class Stopped(BaseException):
    """Raised by `report` where a candidate is to go no further. No Exception: the function would catch it."""


class Caller:
    """Evaluates by calling the function (see nas.searching.trainable.Evaluator)."""

    network = None

    def __init__(self, reference: str, folder: Path, *, device: str = "cpu", threads: int = 1) -> None:
        _, self.function = function.find(reference, folder)
        self.epochs: float = math.inf  # known when the function returns
        self.measured: dict[str, float] = {}

    def start(self, topology: Topology, *, seed: int) -> Iterator[Record]:
        began, self.epochs, self.measured = time.perf_counter(), math.inf, {}
        call, epoch = _Call(self.function, topology, seed), 0
        try:
            while (metrics := call.next()) is not None:
                epoch += not call.returned
                record = {"epoch": max(1, epoch)} | metrics
                self.measured = {"seconds": time.perf_counter() - began}
                self.epochs = record["epoch"] if call.returned else math.inf
                yield record
        finally:
            call.stop()


class _Call:
    """The function, running until it reports, and going on when the next report is asked for."""

    def __init__(self, function: Callable[..., Any], topology: Topology, seed: int) -> None:
        self._thread = threading.Thread(target=self._run, args=(function, topology, seed), daemon=True)
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._go_on = threading.Semaphore(0)
        self._stopped = False
        self.returned = False
        self._thread.start()

    def next(self) -> Record | None:
        """What is reported next, or at last returned; None where nothing is. Raises what the function raised."""
        if self.returned:
            return None
        self._go_on.release()
        self.returned, said = self._said.get()
        if isinstance(said, BaseException):
            raise said
        return None if said is None else _metrics(said)

    def stop(self) -> None:
        self._stopped = True
        self._go_on.release()

    def _run(self, function: Callable[..., Any], topology: Topology, seed: int) -> None:
        try:
            self._wait()
            self._said.put((True, function(topology, seed=seed, report=self._report)))
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  # raised again by whoever asked
            self._said.put((True, error))

    def _report(self, metrics: Mapping[str, Any]) -> None:
        self._said.put((False, metrics))
        self._wait()

    def _wait(self) -> None:
        self._go_on.acquire()
        if self._stopped:
            raise Stopped


def _metrics(said: object) -> Record:
    """Numbers of any library as Python's. Raises TaskError."""
    if not isinstance(said, Mapping):
        raise TaskError(f"the function must return or report {{metric: number}}, but gave {said!r}"[:200])
    return {str(name): _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    """An array or a tensor of one number is that number; what is none is left for the record to refuse."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return str(value)[:200]
