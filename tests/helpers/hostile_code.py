"""The function of a user that does whatever it should not, something else at every call."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no message")


class NoNumber:
    def __float__(self) -> float:
        raise RuntimeError("no number")


def nested(depth: int) -> Any:
    value: Any = 0.5
    for _ in range(depth):
        value = [value]
    return value


def raises(error: BaseException) -> NoReturn:
    raise error


def recurses() -> Any:
    return recurses()


def waits() -> Any:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return {"accuracy": 0.5}


def wanders() -> Any:
    os.chdir("/")
    return {"accuracy": 0.25}


def handles() -> Any:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def closes() -> Any:
    print("\x1b[31m" * 1000)
    sys.stdout.buffer.write(b"\xff\xfe")
    sys.stdout.close()
    return {"accuracy": 0.75}


BEHAVIOURS: list[tuple[Callable[[], Any], str | None]] = [  # what a call does, and with what its trial fails
    (
        lambda: {"accuracy": 10**400},
        "error: accuracy must be from -1e+50 to 1e+50, but got a whole number of 401 digits",
    ),
    (lambda: {"accuracy": 10**5000}, "error: accuracy must be from -1e+50 to 1e+50, but got a whole number of 5001"),
    (lambda: {"accuracy": 1e300}, "error: accuracy must be from -1e+50 to 1e+50, but got 1e+300"),
    (lambda: {"accuracy": True}, "error: accuracy must be a number, but got True"),
    (lambda: {"accuracy": 1j}, "error: accuracy must be a number, but got 1j"),
    (lambda: {"accuracy": "x" * 10**8}, "error: accuracy must be a number, but got 'xxx"),
    (lambda: {"accuracy": nested(10_000)}, "error: accuracy must be a number, but got [[["),
    (lambda: {"accuracy": NoNumber()}, "error: accuracy must be a number, but got <"),
    (lambda: {"accuracy": float("nan")}, "diverged: accuracy is nan"),
    (lambda: {"accuracy": 0.5, "\ud800": 1}, "error: the name of a metric must be a word"),
    (lambda: {"accuracy": 0.5, "done": 1}, "error: a metric must have another name than 'done'"),
    (lambda: {"accuracy": 0.5, "epoch": 10**30}, "error: epoch must be a whole number from 0"),
    (lambda: {f"m{number}": 1.0 for number in range(10**5)}, "error: a result must hold at most 100 numbers"),
    (lambda: [0.5], "error: a result must be {metric: number}, but got [0.5]"),
    (lambda: None, "missing metric: no 'accuracy' was reported"),
    (lambda: raises(Silent()), "error: Silent"),
    (lambda: raises(ValueError("two\nlines\ud800\x1b[2J" * 10**5)), "error: ValueError: two lines [2J"),
    (lambda: raises(SystemExit(3)), "error: the function raised SystemExit: 3"),
    (lambda: raises(KeyboardInterrupt()), "error: the function raised KeyboardInterrupt"),
    (lambda: raises(GeneratorExit()), "error: the function raised GeneratorExit"),
    (recurses, "error: RecursionError"),
    (handles, "error: ValueError: signal only works in main thread"),
    (wanders, None),
    (waits, None),
    (lambda: {"accuracy": 1e50}, None),
    (lambda: {"accuracy": -1e50}, None),
    (lambda: {"accuracy": 5e-324}, None),
    (lambda: {"accuracy": 93.1, "<script>": 2, "{x}": 3, "a/b": 4, "loss": float("nan")}, None),
    *[(lambda: {"accuracy": 0.6}, None)] * 8,
    (closes, None),
]
CALLS = itertools.count()


def score(topology: Any, *, seed: int, report: Any) -> Any:
    """Behave in the next way; a slot is one process, which counts its calls."""
    return BEHAVIOURS[next(CALLS) % len(BEHAVIOURS)][0]()
