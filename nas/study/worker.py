"""A background thread that runs one task after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """A thread that runs submitted tasks in their order.

    An exception of a task is raised by a later call of `submit`, `flush` or `close`, so that none is lost even if
    nobody reads the task's future.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._unchecked: deque[Future[Any]] = deque()
        self._lock = threading.Lock()

    def submit(self, task: Callable[..., T], *arguments: Any) -> Future[T]:
        """Queue task(*arguments) and return its future at once. Raises what an earlier task raised."""
        with self._lock:
            while self._unchecked and self._unchecked[0].done():
                self._unchecked.popleft().result()
            future = self._thread.submit(task, *arguments)
            self._unchecked.append(future)
        return future

    def flush(self) -> None:
        """Wait until every queued task is done. Raises what any of them raised."""
        with self._lock:
            while self._unchecked:
                self._unchecked.popleft().result()

    def close(self) -> None:
        """Wait until every queued task is done and end the thread. Raises what any task raised."""
        self._thread.shutdown(wait=True)
        self.flush()
