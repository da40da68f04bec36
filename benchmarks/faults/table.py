"""The faults: one function for each, in one table."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.faults.surroundings import Surroundings, nodes, nothing, postgresql
from benchmarks.faults.victim import RUN, Victim

KILLED = frozenset({-signal.SIGKILL})
MISTAKE = frozenset({2})  # one line, and --resume goes on
BY_RAY = frozenset({1})  # Ray itself ends the process of a search whose raylet goes while it starts


@dataclass(frozen=True)
class Fault:
    """A fault.

    title   in the table
    strike  does it to a search; None where candidates are sick by themselves
    codes   the exit codes with which the session may end that was struck; empty if it must go on
    early   the exit codes with which a session may end that was struck before it trained
    sick    what a quarter of the candidates have (benchmarks.faults.candidates)
    times   how often it is tried
    most    strikes for one search
    around  what the search needs
    """

    title: str
    strike: Callable[[Victim, Surroundings], object] | None = None
    codes: frozenset[int] = frozenset()
    early: frozenset[int] = frozenset()
    sick: str = ""
    times: int = 20
    most: int = 10
    around: Callable[[Victim], AbstractContextManager[Surroundings]] = nothing
    seconds: float = 0.1


def kill_driver(victim: Victim, around: Surroundings) -> None:
    """Kill the process of the search."""
    _send(victim, signal.SIGKILL)


def kill_worker(victim: Victim, around: Surroundings) -> None:
    """Kill a process that trains, or that is about to."""
    if workers := victim.of_ray("ray::"):
        victim.random.choice(workers).kill()


def kill_raylet(victim: Victim, around: Surroundings) -> None:
    """Kill Ray's process of the node, on the machine of the search."""
    for process in victim.of_ray("/raylet/raylet"):
        process.kill()


def kill_gcs(victim: Victim, around: Surroundings) -> None:
    """Kill Ray's process of the cluster."""
    for process in victim.of_ray("gcs_server"):
        process.kill()


def signalled(*numbers: signal.Signals, pause: float = 0.5) -> Callable[[Victim, Surroundings], None]:
    """Return a function that sends the signals to the process of a search, one after the other."""

    def strike(victim: Victim, around: Surroundings) -> None:
        for place, number in enumerate(numbers):
            time.sleep(pause if place else 0.0)
            _send(victim, number)

    return strike


def to_all(number: signal.Signals) -> Callable[[Victim, Surroundings], None]:
    """Return a function that sends the signal to every process of a search, as Ctrl-C in a terminal or systemd does."""

    def strike(victim: Victim, around: Surroundings) -> None:
        for process in victim.alive(victim.pid):
            process.kill(number)

    return strike


def locked(seconds: float) -> Callable[[Victim, Surroundings], None]:
    """Return a function that holds the lock of the study for so many seconds."""

    def strike(victim: Victim, around: Surroundings) -> None:
        path = victim.folder / "runs" / RUN / "study.db"
        if not victim.until(path.is_file, 30):
            return
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()

    return strike


def full(seconds: float) -> Callable[[Victim, Surroundings], None]:
    """Return a function that lets no file of a search grow for so many seconds, as on a full disk."""

    def strike(victim: Victim, around: Surroundings) -> None:
        before = resource.prlimit(victim.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (2**12, before[1]))
        time.sleep(seconds)
        if victim.runs:
            resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, before)

    return strike


def away(seconds: float) -> Callable[[Victim, Surroundings], None]:
    """Return a function that stops PostgreSQL, and starts it after so many seconds."""

    def strike(victim: Victim, around: Surroundings) -> None:
        around.server.stop()
        time.sleep(seconds)
        around.server.start()

    return strike


def kill_node(victim: Victim, around: Surroundings) -> None:
    """Kill a node, and let another one come."""
    around.order("kill")
    around.order("add")


def add_node(victim: Victim, around: Surroundings) -> None:
    """Let a node come."""
    around.order("add")


def copy(victim: Victim, around: Surroundings) -> None:
    """Resume the search in a copy of its folder, as if the first had ended; the copy must be refused in one line."""
    if not victim.until(lambda: victim.begun() > 0 or not victim.runs, 60) or not victim.runs:
        return
    there = victim.home / "copy"
    shutil.rmtree(there, ignore_errors=True)
    shutil.copytree(victim.folder, there)
    said = subprocess.run(
        [*victim.command("--resume", RUN), *around.options], cwd=there, env=victim.environment, capture_output=True
    )
    if said.returncode == 0 and not victim.runs:
        return  # the search had ended before the copy looked
    if said.returncode != 2 or b"is being searched by process" not in said.stderr:
        victim.ends.append((said.returncode or 1, f"{said.stderr.decode()}\na copy was not refused"))


def join_and_kill(victim: Victim, around: Surroundings) -> None:
    """Let another process join the search, and kill one of the two while both search; the other one must end it."""
    if not victim.until(lambda: (victim.exists and victim.begun() > 0) or not victim.runs, 60) or not victim.runs:
        return
    first, searching = victim.process, victim.begun()
    victim.join(*around.options)
    victim.until(lambda: victim.begun() > searching, 60)
    time.sleep(victim.random.uniform(0, 15))
    if victim.random.random() < 1 / 2:
        first, victim.process = victim.process, first
    if first is not None:
        first.kill()
        first.wait()


def _send(victim: Victim, number: signal.Signals) -> None:
    if victim.runs and victim.process is not None:
        victim.process.send_signal(number)


def _ends_by(*numbers: signal.Signals) -> frozenset[int]:
    """Return the exit codes of a command that these signals end: from the shell's view, and before Python can run."""
    return frozenset({128 + number for number in numbers} | {-number for number in numbers})


TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP

FAULTS = {
    "driver": Fault("SIGKILL of the driver", kill_driver, KILLED),
    "worker": Fault("SIGKILL of a worker", kill_worker),
    "raylet": Fault("SIGKILL of the raylet", kill_raylet, MISTAKE | BY_RAY),
    "gcs": Fault("SIGKILL of the GCS", kill_gcs, MISTAKE | BY_RAY),
    "node": Fault("SIGKILL of a node", kill_node, around=nodes, most=5),
    "node-added": Fault("a node comes", add_node, around=nodes, times=3, most=3),
    "sigterm": Fault("SIGTERM", signalled(TERM), _ends_by(TERM), times=10),
    "sigterm-twice": Fault("SIGTERM twice", signalled(TERM, TERM), _ends_by(TERM), times=5),
    "sigterm-all": Fault("SIGTERM to every process", to_all(TERM), _ends_by(TERM) | BY_RAY, times=5),
    "sigint": Fault("SIGINT", signalled(INT), _ends_by(INT), times=10),
    "sigint-twice": Fault("SIGINT twice", signalled(INT, INT), _ends_by(INT), times=5),
    "sigint-all": Fault("SIGINT to every process", to_all(INT), _ends_by(INT), times=5),
    "sighup": Fault("SIGHUP", signalled(HUP), _ends_by(HUP), times=5),
    "locked": Fault("SQLite locked for 10 s", locked(10), early=MISTAKE, times=3, most=1),
    "locked-long": Fault("SQLite locked for 120 s", locked(120), early=MISTAKE, times=1, most=1),
    "postgresql": Fault("PostgreSQL restarts", away(0), early=MISTAKE, around=postgresql, times=3, most=3),
    "postgresql-long": Fault(
        "PostgreSQL is away for 60 s", away(60), early=MISTAKE, around=postgresql, times=1, most=1
    ),
    "full": Fault("the disk is full for 5 s", full(5), early=MISTAKE, times=3, most=1),
    "copied": Fault("a copy of its folder is resumed", copy, times=3, most=3),
    "copied-server": Fault("the same, on PostgreSQL", copy, times=3, most=3, around=postgresql),
    "joined": Fault("SIGKILL of one of two that search together", join_and_kill, times=10, most=1, seconds=1.0),
    "memory": Fault("a candidate out of memory", sick="memory", times=3),
    "nan": Fault("a candidate diverges to NaN", sick="nan", times=3),
    "hang": Fault("a candidate hangs", sick="hang", times=3),
    "exception": Fault("a candidate raises an exception", sick="exception", times=3),
    "exit": Fault("a candidate calls `os._exit`", sick="exit", times=3),
}
