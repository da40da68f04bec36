"""The reasons to stop a search before its trials are finished: a signal, or the time that the user gave it."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED = "interrupted"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a batch system or a container, a closed terminal
GRACE_S = 25.0  # seconds for a search to end after the first signal; Slurm and Kubernetes kill it after 30
HURRY_S = 5.0  # the same after the second signal


class Interrupts(threading.Event):
    """An event that the first signal sets; the second one raises KeyboardInterrupt, or SystemExit after a SIGTERM.

    signal  the signal that set it; None before

    A search that has not ended GRACE_S seconds after SIGTERM or SIGHUP, or HURRY_S seconds after the second signal,
    ends at once, with its process: whatever keeps it (a cluster that is gone, a storage that does not answer), the
    record says the truth, and what was being trained is trained when the run is resumed.

    On another thread than the main one, where Python allows no signal handlers, the event is never set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signal: signal.Signals | None = None
        self._over = threading.Event()
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def heed(self) -> None:
        """Handle the signals from now on, but for those that the process was started to ignore (nohup)."""
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                if before is not signal.SIG_IGN:
                    signal.signal(number, self._handle)

    def release(self) -> None:
        """Handle the signals as before."""
        self._over.set()
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                signal.signal(number, signal.SIG_DFL if before is None else before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, received = not self.is_set(), signal.Signals(number)
        self.signal = self.signal or received
        self.set()
        if received is signal.SIGTERM:
            signal.alarm(0)  # where Ray handles SIGTERM, it calls this handler, but aborts the process 3 s later
        if received is signal.SIGHUP:
            _leave_terminal()
        if received is not signal.SIGINT or not first:
            ending = threading.Thread(target=self._end_at_once, args=(GRACE_S if first else HURRY_S,), daemon=True)
            ending.start()
        if not first:
            raise KeyboardInterrupt if self.signal is signal.SIGINT else SystemExit(128 + self.signal)

    def _end_at_once(self, patience: float) -> None:
        """End the process after so many seconds, unless the search is over by then."""
        if self._over.wait(patience):
            return
        assert self.signal is not None
        with contextlib.suppress(OSError, ValueError):
            print(f"nas: ended at once, {patience:g} s after {self.signal.name}; --resume goes on", file=sys.stderr)
        os._exit(128 + self.signal)


def _leave_terminal() -> None:
    """Let what is printed go nowhere if it went to a terminal that is closed: no output must end a search."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Yield an event that signals set, and handle them as before in the end."""
    interrupted = Interrupts()
    interrupted.heed()
    try:
        yield interrupted
    finally:
        interrupted.release()


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
