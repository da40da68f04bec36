"""Signals on the command line: the exit code is 128 and the number of the signal, as a shell has it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from nas.cli.printing import say

if TYPE_CHECKING:
    from nas.study import Run


def exit_on_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: what it has opened is closed, what it has begun is removed.

    A signal that the process was started to ignore (nohup) stays ignored. While candidates are trained,
    nas.searching.stop_reasons handles the signals.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        say(f"nas: ended by {signal.Signals(number).name}")
    sys.exit(128 + number)


def end(code: str | int | None) -> NoReturn:
    """End the process with this exit code, at once if Ray is stuck in it."""
    from nas.searching.detached import is_ray_stuck

    if is_ray_stuck():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else bool(code))
    sys.exit(code)


def stopped(run: Run) -> typer.Exit:
    """Return the exit of a command whose trainings were stopped: by a signal, or by the end of their time."""
    return typer.Exit(128 + (run.interrupted or signal.SIGINT))
