"""The identity of a process: whether one that was named in a study, by whatever machine, is still there."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

PROC = Path("/proc")
DEAD = "ZX"  # states of a process that has ended and that its parent has not asked about


def place() -> str:
    """Return where the numbers of processes are those of this process.

    Two containers may have one name and other processes; a machine that was started again has other processes, too.
    """
    with contextlib.suppress(OSError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    return socket.gethostname()


def start_of(pid: int) -> str | None:
    """Return when a process of this place began, in a form to compare; None if it is gone, or "" if nobody tells.

    The number of a process that has ended is given to another one later.
    """
    if not PROC.is_dir():
        return "" if _answers(pid) else None
    try:
        state, *fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()  # the name may hold spaces
    except OSError:  # it is gone, or it belongs to somebody else and is hidden
        return "" if _answers(pid) else None
    return None if state in DEAD else fields[18]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
