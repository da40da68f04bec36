"""Work that nobody waits for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """A thread that does one thing after the other. What goes wrong is raised by a later call."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._unchecked: deque[Future[Any]] = deque()
        self._lock = threading.Lock()

    def do(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Returns at once. Raises what earlier work raised."""
        with self._lock:
            while self._unchecked and self._unchecked[0].done():
                self._unchecked.popleft().result()
            future = self._thread.submit(work, *arguments)
            self._unchecked.append(future)
        return future

    def flush(self) -> None:
        """Returns when everything is done. Raises what any of it raised."""
        with self._lock:
            while self._unchecked:
                self._unchecked.popleft().result()

    def close(self) -> None:
        """The same, and the thread ends."""
        self._thread.shutdown(wait=True)
        self.flush()
