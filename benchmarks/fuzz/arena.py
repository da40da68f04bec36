"""Run one mutant in a process and a folder of its own, and say how it ended.

A mutant may take CPU_S seconds of processor time, or WALL_S by the clock, and MEMORY bytes more than this process has.
An audit hook notes every file that is written outside its folder, and every program that is started.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

CPU_S, WALL_S, MEMORY = 5, 60, 4 * 2**30
ADMITTED = ("/dev/null", "/dev/tty", "/dev/shm/", f"{tempfile.gettempdir()}/torchinductor_")  # torch makes the last
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = (
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "os.chmod",
    "os.chown",
)
PROGRAMS = ("git", "/sbin/ldconfig")  # a new run notes the commit; ctypes finds libraries
# whatever of these a mutant imports is imported here too, so that the next one finds it
LIBRARIES = (
    "nas.",
    "torch",
    "optuna",
    "pandas",
    "pyarrow",
    "PIL",
    "numpy",
    "scipy",
    "sklearn",
    "statsmodels",
    "rich",
    "plotly",
    "sqlalchemy",
    "ray",
    "jinja2",
    "safetensors",
)
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")

Verdict = Literal["refused", "accepted", "traceback", "hang", "elsewhere"]


class Reached(BaseException):
    """Raised where a command would begin to train, to serve or to start programs: the mutant was accepted."""


@dataclass(frozen=True)
class Mutant:
    """Something hostile and what is done with it.

    kind     what is damaged
    name     number and seed, to make it again
    folder   its folder, which holds it
    act      reads it there; a command line or a function
    """

    kind: str
    name: str
    folder: Path
    act: Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """How a mutant ended, and the message or the traceback of it."""

    mutant: Mutant
    verdict: Verdict
    said: str


def nas_command(*words: str) -> None:
    """Run the command line in this process."""
    from nas.cli import main

    sys.argv = ["nas", *words]
    main()


def run_all(mutants: Iterator[Mutant], jobs: int, cpu_s: int | None = None) -> Iterator[Ended]:
    """Run the mutants, some at a time, and yield how each of them ended; cpu_s is another limit than CPU_S."""
    running: dict[int, tuple[Mutant, float]] = {}
    more = True
    while more or running:
        while more and len(running) < jobs:
            mutant = next(mutants, None)
            more = mutant is not None
            if mutant is not None:
                running[_start(mutant, cpu_s or CPU_S)] = mutant, time.monotonic()
        for process, (mutant, began) in list(running.items()):
            if time.monotonic() > began + WALL_S:
                os.kill(process, signal.SIGKILL)
            ended, status, _ = os.wait4(process, os.WNOHANG)
            if ended:
                del running[process]
                yield _judged(mutant, status)
        time.sleep(0.002)


def _start(mutant: Mutant, cpu_s: int) -> int:
    """Fork a process that runs the mutant; return its number."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        _run(mutant, cpu_s)
    return process


def _run(mutant: Mutant, cpu_s: int) -> NoReturn:
    """Run the mutant and leave what happened in its folder. Never returns."""
    code, said, known = 70, "", frozenset(sys.modules)
    try:
        written = _enter(mutant.folder, cpu_s)
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = _exit_code(mutant.act)
        except BaseException:  # noqa: BLE001  # this is what is looked for
            said = traceback.format_exc()
        for stream in (out, err):
            stream.flush()
        printed = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]
        modules = sorted(name for name in sys.modules if name not in known and name.startswith(LIBRARIES))
        result = {
            "modules": modules,
            "code": code,
            "said": said,
            "out": printed[0][:2000],
            "err": printed[1][:5000],
            "written": written,
        }
        (mutant.folder / "ended.json").write_text(json.dumps(result))
    finally:
        os._exit(0)


def _exit_code(act: Callable[[], object]) -> int:
    try:
        act()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Reached:
        return 0
    return 0


def _enter(folder: Path, cpu_s: int) -> list[str]:
    """Confine this process to the folder; return the list that will name what it does elsewhere."""
    os.chdir(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = None  # it is remembered
    os.environ |= {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    written: list[str] = []
    sys.addaudithook(lambda event, arguments: _note(event, arguments, folder, written))
    return written


def _note(event: str, arguments: tuple[Any, ...], folder: Path, written: list[str]) -> None:
    """Note a file that is written or changed outside of the folder, or a program that is started."""
    if event in STARTS and arguments[0] not in PROGRAMS:
        written.append(f"started {arguments[0]!r}"[:200])
    paths = arguments[:1] if event == "open" and arguments[2] & WRITES else ()
    paths = arguments[:2] if event in CHANGES else arguments[:1] if event == "sqlite3.connect" else paths
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            where = os.path.realpath(os.fsdecode(path))
            if not where.startswith((f"{folder}/", *ADMITTED)) and ":memory:" not in where and len(written) < 5:
                written.append(f"{event} {where}"[:300])


def _judged(mutant: Mutant, status: int) -> Ended:
    """Return how a process ended, by what it left in its folder."""
    left = mutant.folder / "ended.json"
    if not left.is_file():
        sign = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        late = sign in (signal.SIGXCPU, signal.SIGKILL)
        return Ended(
            mutant, "hang" if late else "traceback", f"ended by {signal.Signals(sign).name if sign else status}"
        )
    result = json.loads(left.read_text())
    for name in result["modules"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    lines = result["err"].strip().splitlines()
    if result["written"]:
        return Ended(mutant, "elsewhere", "; ".join(result["written"]))
    if result["said"] or "Traceback" in result["err"] + result["out"] or result["code"] not in (0, 2, 130):
        return Ended(mutant, "traceback", result["said"] or result["err"])
    if result["code"] != 2:
        return Ended(mutant, "accepted", result["out"])
    usage = any(line.startswith("Usage: ") for line in lines)  # Typer says more about an option that does not exist
    plain = len(lines) == 1 and lines[0].startswith("nas: ") and lines[0].isprintable() and len(lines[0]) <= 1000
    return Ended(mutant, "refused" if plain or usage else "traceback", result["err"])


def remove(folder: Path) -> None:
    """Remove the folder of a mutant, whatever it has become."""
    shutil.rmtree(folder, ignore_errors=True)
