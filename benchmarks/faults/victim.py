"""A real `nas search` in a session of its own, at which faults are aimed, and everything that is seen of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from benchmarks.faults import candidates

RUN = "run"
KEPT = ("ray", "torchinductor_")  # folders of logs and caches, which Ray and torch keep for themselves
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")  # processes of Ray that train nothing
LIMIT_S = 300.0  # seconds in which a search must go on or end
GONE_S = 90.0  # seconds in which the processes of a search must end with it: some of Ray notice a kill after a minute
SPACE = """
task: {{function: "{function}:train", input: [1, 8, 8], outputs: 10, metric: accuracy, direction: maximize}}
network:
  stem: {{op: conv3x3, width: 4}}
  stages: [{{blocks: 6, op: conv, width: 4}}]
  head: classify
skips: {{kinds: [none, add, concat]}}
search:
  {{objectives: [accuracy], baselines: [], sampler: random, repeats: 1, trials: {trials}, timeout: 15, seed: {seed}}}
"""


class Process(NamedTuple):
    """A process of a session."""

    pid: int
    command: str

    def kill(self, number: signal.Signals = signal.SIGKILL) -> bool:
        """Send it a signal; return whether it was still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False


class Finished(NamedTuple):
    """What the record says of a trial that has ended."""

    state: str
    key: str
    value: float | None
    reason: str | None


class Strike(NamedTuple):
    """A fault that was done.

    time      when it was over, in seconds since 1970
    before    the keys of the trials that had ended when it began
    finished  the trials that had ended when it was over, by number
    """

    time: float
    before: frozenset[str]
    finished: dict[int, Finished]


class Victim:
    """A search in a folder of its own, to be used in a `with` statement: it is started, struck, resumed and audited.

    strikes   the faults that were done
    ends      the exit code of every session, with what it printed on stderr
    seconds   how long it took after each fault to go on, or to end
    """

    def __init__(self, seed: int, trials: int = 12, sick: str = "", seconds: float = 0.1, more: str = "") -> None:
        self.random, self.trials, self.sick, self.more = random.Random(seed), trials, sick, more
        self.home = Path(tempfile.mkdtemp(prefix="nf", dir="/tmp"))  # short: sockets of Ray are in it
        self.folder, self.temporary = self.home / "w", self.home / "t"
        self.folder.mkdir()
        self.temporary.mkdir()
        space = SPACE.format(function=candidates.__file__, trials=trials, seed=seed)
        (self.folder / "space.yaml").write_text(space + more)
        self.log, self.said = self.folder / "log", self.folder / "stderr"
        self.environment = os.environ | {
            candidates.LOG: str(self.log),
            candidates.SICK: sick,
            candidates.SECONDS: str(seconds),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.strikes: list[Strike] = []
        self.ends: list[tuple[int, str]] = []
        self.seconds: list[float] = []
        self.sessions: set[int] = set()
        self.process: subprocess.Popen[str] | None = None
        self.storage: str | None = None  # the URL, unless it is in the folder of the run

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for process in self.alive():
            process.kill()
        if self.process is not None:
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    # ----------------------------------------------------------------------------------------------- its process

    def start(self, *options: str) -> None:
        """Begin the search, or go on with it."""
        self.said.write_text("")
        self._start(*(("--resume", RUN) if self.exists else ("space.yaml", "--name", RUN)), *options)

    def join(self, *options: str) -> None:
        """Let another process join the search; it is the process of the search from then on."""
        self._start("--join", RUN, *options)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """Return the command of a search with two slots."""
        return [sys.executable, "-m", "nas", "search", *arguments, "--slots", "2"]

    def _start(self, *arguments: str) -> None:
        with self.said.open("a") as file:
            self.process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        self.sessions.add(self.process.pid)

    @property
    def exists(self) -> bool:
        """Whether the run has been created."""
        return (self.folder / "runs" / RUN / "run.yaml").is_file()

    @property
    def pid(self) -> int:
        """The number of the process of the search."""
        assert self.process is not None
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether the process of the search runs."""
        return self.process is not None and self.process.poll() is None

    def alive(self, *sessions: int) -> list[Process]:
        """Return the processes of these sessions; of all without any."""
        ours = set(map(str, sessions or self.sessions))
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,sid=,stat=,args="], capture_output=True, text=True)
        rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
        return [Process(int(pid), args) for pid, session, state, args in rows if session in ours and state[0] != "Z"]

    def of_ray(self, word: str) -> list[Process]:
        """Return the processes of Ray with this word in their command; those that train are `ray::`."""
        return [one for one in self.alive(self.pid) if word in one.command and not one.command.startswith(AGENTS)]

    def end(self, limit: float = LIMIT_S) -> int:
        """Wait until the search ends, and return its exit code."""
        assert self.process is not None
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
            self.ends.append((code, f"it did not end within {limit:g} s"))
            return code
        self.ends.append((code, self.said.read_text(errors="replace")))
        return code

    def left(self) -> list[str]:
        """Return the processes that outlive the search by GONE_S, and its files in the folder of temporary files."""
        self.until(lambda: not self.alive(), GONE_S)
        files = [path for path in self.temporary.iterdir() if not path.name.startswith(KEPT)]
        files += (self.folder / "runs").rglob(".*.[0-9]*")
        return [*(f"a process: {one.command[-200:]}" for one in self.alive()), *map(str, files)]

    # -------------------------------------------------------------------------------------------------- its record

    def notes(self) -> Iterator[dict[str, Any]]:
        """Yield what candidates wrote: {what, key, seed, pid, time}."""
        if self.log.exists():
            yield from map(json.loads, self.log.read_text().splitlines())

    def begun(self) -> int:
        """Return how many trainings have begun."""
        return sum(note["what"] == "began" for note in self.notes())

    def trials_of_study(self) -> list[Any]:
        """Return the trials of the record; none if there is no run yet."""
        from nas.study import Run

        if not self.exists:
            return []
        run = Run.open(RUN, self.folder / "runs")
        if self.storage is not None:
            run.log_in(self.storage)
        try:
            return run.study.get_trials(deepcopy=False)
        finally:
            run.storage.engine.dispose()

    def finished(self) -> dict[int, Finished]:
        """Return the trials of the record that have ended, but those that were known to another process."""
        from nas.study.attributes import KEY, REASON, recorded
        from nas.study.states import KNOWN

        found = {}
        for trial in self.trials_of_study():
            known = recorded(trial)
            if trial.state.is_finished() and not str(known.get(REASON)).startswith(KNOWN):
                value = trial.values[0] if trial.values else None
                found[trial.number] = Finished(trial.state.name, known.get(KEY, ""), value, known.get(REASON))
        return found

    # ------------------------------------------------------------------------------------------------------- moments

    def until(self, condition: Callable[[], bool], seconds: float = LIMIT_S) -> bool:
        """Wait until the condition holds; return whether it did within so many seconds."""
        end = time.monotonic() + seconds
        while not (true := condition()) and time.monotonic() < end:
            time.sleep(0.05)
        return true

    def moment(self) -> None:
        """Wait for a random moment: a third while the search starts, the others while candidates are trained."""
        if self.random.random() < 1 / 3:
            time.sleep(self.random.uniform(0, 10))
            return
        before = self.begun()
        self.until(lambda: self.begun() > before or not self.runs)
        time.sleep(self.random.uniform(0, 1.5))

    def strike(self, fault: Callable[[], object]) -> None:
        """Do a fault, and note which trials had ended before and after it."""
        self.until(self._is_readable)
        before = frozenset(trial.key for trial in self.finished().values())
        fault()
        self.until(self._is_readable)
        now = time.time()
        self.strikes.append(Strike(now, before, self.finished()))

    def _is_readable(self) -> bool:
        """Return whether the record can be read now."""
        from sqlalchemy.exc import SQLAlchemyError

        from nas.errors import NasError

        try:
            self.finished()
        except (NasError, SQLAlchemyError):
            return False
        return True

    def goes_on(self) -> None:
        """Wait until another candidate begins or the search ends, and note how long it took since the last fault."""
        before, began = self.begun(), time.monotonic()
        self.until(lambda: self.begun() > before or not self.runs)
        self.seconds.append(time.monotonic() - began)
