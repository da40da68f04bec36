"""The candidates of searches that faults strike: each writes into a file when it begins and when it ends.

Imported by the processes of a search from this file alone. The file is the witness of the audit: it is appended to, a
line at a time, whatever becomes of the search and its record.
"""

from __future__ import annotations

import json
import math
import os
import resource
import time
from pathlib import Path
from typing import Any

LOG, SICK, SECONDS = "FAULTS_LOG", "FAULTS_SICK", "FAULTS_SECONDS"  # environment variables
EPOCHS = 3
BEYOND = 2**28  # bytes that a candidate may take more than it has, before its memory is out


def accuracy(key: str) -> float:
    """Return the made-up accuracy of a topology, by which the audit knows the true record of it."""
    return int(key[:8], 16) % 1000 / 1000


def is_sick(key: str) -> bool:
    """Return whether the candidate is one of the quarter that fail where some are to fail."""
    return int(key[8:], 16) % 4 == 0


def train(topology: Any, *, seed: int, report: Any) -> dict[str, float]:
    """Take a moment, and return the accuracy of the topology, or fail as the environment says."""
    key, sick = topology.key, os.environ.get(SICK, "")
    _note("began", key, seed)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(float(os.environ.get(SECONDS, "0.1")))
        if epoch < EPOCHS:
            report({"accuracy": accuracy(key) * epoch / EPOCHS})
    value = SICKNESSES[sick]() if sick and is_sick(key) else accuracy(key)
    _note("ended", key, seed)
    return {"accuracy": value}


def _note(what: str, key: str, seed: int) -> None:
    line = json.dumps({"what": what, "key": key, "seed": seed, "pid": os.getpid(), "time": time.time()})
    file = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def _raise() -> float:
    raise ValueError("a mistake\nin two lines")


def _exit() -> float:
    os._exit(3)


def _hang() -> float:
    time.sleep(3600)
    return 0.0


def _allocate() -> float:
    """Take memory until there is no more."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BEYOND, limits[1]))
    try:
        return float(len([bytearray(2**22) for _ in range(8 * BEYOND // 2**22)]))  # also what was freed is used up
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


SICKNESSES = {
    "nan": lambda: math.nan,
    "exception": _raise,
    "exit": _exit,
    "hang": _hang,
    "memory": _allocate,
}
