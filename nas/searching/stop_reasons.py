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


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second one raises KeyboardInterrupt.

    On another thread than the main one, where Python allows no signal handlers, the event is never set.
    """
    interrupted = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
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
