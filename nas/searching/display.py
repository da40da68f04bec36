"""The display of a running search on stderr: a live view in a terminal, else a line for each candidate."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas import units
from nas.errors import Dismissed
from nas.searching.candidate import Candidate
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.searching.progress import Progress, RunningCandidate, one_line
from nas.study.states import ENDED, REFUSED, STATE_WORDS

MOST_ROWS = 8  # candidates in training that the live view shows
MOST_NAMED = 3  # candidates in training whose epochs a line shows
SELDOM_S = 30  # seconds between two lines about candidates in training


@contextlib.contextmanager
def starting(name: str, address: str | None, stream: TextIO | None) -> Iterator[None]:
    """Show that Ray is being started: in a terminal until it is, else as a line."""
    words = f"{name}: starting Ray …" if address is None else f"{name}: connecting to Ray at {address} …"
    if stream is None:
        yield
    elif (console := Console(file=stream, highlight=False)).is_terminal:
        with console.status(Text(words)):
            yield
    else:
        print(words, file=stream, flush=True)
        yield


class LineDisplay(SearchObserver):
    """Prints one line for each candidate that has ended, and one now and then about those in training. To be used in a
    `with` statement.

    ending  why the search is over; the last line says it
    """

    def __init__(self, progress: Progress, name: str, stream: TextIO) -> None:
        self.progress, self.name, self.stream = progress, name, stream
        self.ending = "stopped"
        self._said = time.monotonic()

    def __enter__(self) -> LineDisplay:
        before = f", {self.progress.before} of them before" if self.progress.before else ""
        self.print(f"{self.name}: {self.progress.total} candidates{before}, up to {self.progress.slots} at a time")
        return self

    def __exit__(self, *_: object) -> None:
        self.print(_summary(self.progress, self.name, self.ending))

    def epoch_ended(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """Print how far the search is, if that was not printed a short time ago."""
        now = time.monotonic()
        if now >= self._said + SELDOM_S:
            self._said = now
            self.print(_so_far(self.progress, now))

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
        """Print the end of a training."""
        self.print(_line(self.progress, candidate, state, reason, outcome))

    def retried(self, candidate: Candidate, reason: str) -> None:
        """Print that a training starts again."""
        self.print(f"trial {candidate.number}  once more: {reason}")

    def continued(self, candidate: Candidate, curve: Sequence[Mapping[str, Any]]) -> None:
        """Print after which epoch a training goes on."""
        self.print(f"trial {candidate.number}  goes on after epoch {len(curve)}")

    def checkpoints_stopped(self, reason: str) -> None:
        """Print why no more checkpoints are written."""
        self.print(f"no more checkpoints: {reason}")

    def dismissed(self, candidate: Candidate) -> None:
        """Print that a person has ended the trial."""
        self.print(f"trial {candidate.number}  {Dismissed.reason}  {_name(candidate)}")

    def machines_changed(self, slots: int, message: str) -> None:
        """Print what became of a node."""
        self.print(f"{message}; {slots} slots now")

    def reused(self, candidate: Candidate, outcome: TrialOutcome) -> None:
        """Print a result of another run."""
        value = outcome.metrics.get(self.progress.metric)
        self.print(f"trial {candidate.number}  reused: {self.progress.metric} {_metric(value)}  {_name(candidate)}")

    def storage_went(self, reason: str, since: datetime) -> None:
        """Print that the storage is away."""
        self.print(storage_line(reason, since))

    def storage_came_back(self, seconds: float) -> None:
        """Print that the storage is there again."""
        self.print(f"the record is written again, after {units.duration(seconds)}")

    def print(self, line: str) -> None:
        """Print a line at once; where it cannot be written, the search goes on without it."""
        with contextlib.suppress(OSError):
            print(line, file=self.stream, flush=True)


class LiveDisplay(LineDisplay):
    """Shows a progress bar, the running candidates and the best one; prints a line for each failure, which stays."""

    def __init__(self, progress: Progress, name: str, stream: TextIO) -> None:
        super().__init__(progress, name, stream)
        self.console = Console(file=stream, highlight=False)
        self.live = Live(self, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LineDisplay:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()
        super().__exit__()

    def epoch_ended(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """Print nothing: the view shows it."""

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
        """Print a failure; the view shows everything else."""
        if state == "FAIL":
            super().ended(candidate, state, reason, outcome)

    def reused(self, candidate: Candidate, outcome: TrialOutcome) -> None:
        """Print nothing: the view counts it."""

    def print(self, line: str) -> None:
        """Print a line above the view."""
        with contextlib.suppress(OSError):
            self.console.print(Text(line), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = time.monotonic()
        yield self._bar(now)
        for label, words in (("", self._counts(now)), *self._running(now), *self._results()):
            yield Text.assemble((f"{label:>9}  ", "dim"), words, no_wrap=True, overflow="ellipsis", end="\n")

    def _bar(self, now: float) -> Table:
        progress, left = self.progress, self.progress.seconds_left(now)
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for ratio in (None, 1, None, None):
            grid.add_column(ratio=ratio, no_wrap=True)
        bar = ProgressBar(total=progress.total, completed=progress.finished + progress.under_way)
        done = f"{progress.finished}/{progress.total}"
        grid.add_row(
            Text(self.name, "bold"), bar, done, f"{units.duration(left)} left" if left is not None else "starting"
        )
        return grid

    def _counts(self, now: float) -> Text:
        progress = self.progress
        words = _ends(progress)
        words.append(f"{len(progress.running)} running")
        if progress.over_limits:
            words.append(f"{progress.over_limits} {STATE_WORDS[REFUSED]}")
        if progress.saved:
            words.append(f"{progress.saved} saved")
        words.append(f"{progress.slots} slots {100 * progress.utilisation(now):.0f}% busy")
        return Text("  ·  ".join(words), "dim")

    def _running(self, now: float) -> Iterator[tuple[str, Text]]:
        running = tuple(self.progress.running.items())
        for candidate, state in running[:MOST_ROWS]:
            epoch, value = state.record.get("epoch", 0), state.record.get(self.progress.metric)
            of = f"/{self.progress.epochs}" if self.progress.epochs else ""
            figures = f"{epoch}{of}  {_metric(value)}  {units.duration(now - state.began)}  "
            yield "epoch" if of else "step", Text.assemble(figures, (_name(candidate), "dim"))
        if len(running) > MOST_ROWS:
            yield "", Text(f"and {len(running) - MOST_ROWS} more", "dim")

    def _results(self) -> Iterator[tuple[str, Text]]:
        progress = self.progress
        if progress.baselines:
            words = (f"{name} {_metric(value)}" for name, value in progress.baselines.items())
            yield "baselines", Text("  ·  ".join(words))
        if progress.best is not None:
            value, params, name = progress.best
            yield "best", Text.assemble((_metric(value), "bold green"), f"  {params:,} params  ", name)


def storage_line(reason: str, since: datetime) -> str:
    """Return the line about an outage of the storage."""
    return f"the record cannot be written since {since:%H:%M:%S} ({reason}); results wait in memory, the search goes on"


def make_display(progress: Progress, name: str, stream: TextIO | None) -> LineDisplay:
    """Return a live view if the stream is a terminal, else lines; without a stream nothing is shown."""
    if stream is None:
        return LineDisplay(progress, name, io.StringIO())
    return (LiveDisplay if Console(file=stream).is_terminal else LineDisplay)(progress, name, stream)


def _line(progress: Progress, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> str:
    """Return the line of a candidate: [12/60] trial 14  finished: accuracy 0.9722  34,570 params  2.1s  resnet: …"""
    result = reason if reason is not None else f"{progress.metric} {_metric(outcome.metrics.get(progress.metric))}"
    size = f"{candidate.predicted['params']:,} params  " if "params" in candidate.predicted else ""
    took = units.duration(float(outcome.measured.get("busy", 0)))
    place = f"[{progress.finished}/{progress.total}] trial {candidate.number}"
    return f"{place}  {STATE_WORDS[state]}: {result}  {size}{took}  {_name(candidate)}"


def _so_far(progress: Progress, now: float) -> str:
    """Return the line about a search: 3 of 60 finished, 2 running (epoch 4 of 8 · 0.8123, …), about 12m 30s left."""
    running = list(progress.running.values())
    each = [f"{_epoch(progress, one)} · {_metric(one.record.get(progress.metric))}" for one in running[:MOST_NAMED]]
    each += ["…"] if len(running) > MOST_NAMED else []
    left = progress.seconds_left(now)
    estimate = f", about {units.duration(left)} left" if left is not None else ""
    return f"{progress.finished} of {progress.total} finished, {len(running)} running ({', '.join(each)}){estimate}"


def _epoch(progress: Progress, one: RunningCandidate) -> str:
    epoch = one.record.get("epoch", 0)
    return f"epoch {epoch} of {progress.epochs}" if progress.epochs else f"step {epoch}"


def _summary(progress: Progress, name: str, ending: str) -> str:
    ends = ", ".join(_ends(progress))
    refused = f", {progress.over_limits} not trained ({STATE_WORDS[REFUSED]})" if progress.over_limits else ""
    refused += f", {progress.saved} trainings saved (known before)" if progress.saved else ""
    busy = f", slots {100 * progress.utilisation():.0f}% busy" if progress.busy else ""
    return f"{name}: {ending}; {ends or 'no candidate ended'}{refused}{busy}"


def _ends(progress: Progress) -> list[str]:
    """Return how many trials ended in each state: ["12 finished", "1 failed"]."""
    return [f"{progress.ends[state]} {STATE_WORDS[state]}" for state in ENDED if progress.ends[state]]


def _name(candidate: Candidate) -> str:
    return one_line(candidate.baseline, candidate.topology.describe())


def _metric(value: Any) -> str:
    """Return the metric of an epoch, which may be anything that an evaluator reports."""
    return units.metric(value) if isinstance(value, int | float) else units.MISSING
