"""The reasons to stop a search before its trials are finished: a signal, or the time that the user gave it."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED = "interrupted"


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(threading.Event):
    """An event that the first SIGINT or SIGTERM sets; the second one raises KeyboardInterrupt.

    On another thread than the main one, where Python allows no signal handlers, the event is never set.
    """

    def heed(self) -> None:
        """Handle the signals from now on. Ray takes SIGTERM for itself when it starts."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_set():
            raise KeyboardInterrupt
        self.set()


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Yield an event that signals set, and handle them as before in the end."""
    interrupted, before = Interrupts(), {number: signal.getsignal(number) for number in SIGNALS}
    interrupted.heed()
    try:
        yield interrupted
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def stop_reason(seconds: float | None, interrupted: threading.Event) -> Callable[[], str | None]:
    """Return a function that returns why the search is to stop now, or None.

    seconds      the time that the search may take from now; None for no limit
    interrupted  set when the user stops the search (see `interrupts`)
    """
    end = math.inf if seconds is None else time.monotonic() + seconds

    def reason() -> str | None:
        if interrupted.is_set():
            return INTERRUPTED
        return f"the time is up ({seconds:g} s)" if time.monotonic() > end else None

    return reason
