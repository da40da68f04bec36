"""What a search shows while it runs, on stderr: a live picture in a terminal, else a line for each candidate."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.searching.progress import Progress, named
from nas.searching.proposals import Candidate
from nas.searching.session import Outcome, Watcher

ROWS = 8  # of what is running
ENDS = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}


class Lines(Watcher):
    """One line for each candidate that has ended. A context: `why` is what it says in the end."""

    def __init__(self, progress: Progress, name: str, stream: TextIO) -> None:
        self.progress, self.name, self.stream = progress, name, stream
        self.why = "stopped"

    def __enter__(self) -> Lines:
        before = f", {self.progress.before} of them before" if self.progress.before else ""
        self.say(f"{self.name}: {self.progress.total} candidates{before}, up to {self.progress.slots} at a time")
        return self

    def __exit__(self, *_: object) -> None:
        self.say(_summary(self.progress, self.name, self.why))

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
        self.say(_line(self.progress, candidate, state, reason, outcome))

    def again(self, candidate: Candidate, why: str) -> None:
        self.say(f"trial {candidate.number}  once more, alone: {why}")

    def reused(self, candidate: Candidate, outcome: Outcome) -> None:
        value = outcome.metrics.get(self.progress.metric)
        self.say(f"trial {candidate.number}  reused: {self.progress.metric} {shown(value)}  {_name(candidate)}")

    def say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


class Picture(Lines):
    """A progress bar, what runs, what was best; and a line for each failure, which stays."""

    def __init__(self, progress: Progress, name: str, stream: TextIO) -> None:
        super().__init__(progress, name, stream)
        self.console = Console(file=stream, highlight=False)
        self.live = Live(self, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Lines:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()
        super().__exit__()

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
        if state == "FAIL":
            super().ended(candidate, state, reason, outcome)

    def reused(self, candidate: Candidate, outcome: Outcome) -> None:
        """Shown in the counts."""

    def say(self, line: str) -> None:
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
        grid.add_row(Text(self.name, "bold"), bar, done, f"{duration(left)} left" if left is not None else "starting")
        return grid

    def _counts(self, now: float) -> Text:
        progress = self.progress
        words = [f"{progress.ends[state]} {word}" for state, word in ENDS.items() if progress.ends[state]]
        words.append(f"{len(progress.running)} running")
        if progress.over_limits:
            words.append(f"{progress.over_limits} over the limits")
        if progress.saved:
            words.append(f"{progress.saved} saved")
        words.append(f"{progress.slots} slots {100 * progress.utilisation(now):.0f}% busy")
        return Text("  ·  ".join(words), "dim")

    def _running(self, now: float) -> Iterator[tuple[str, Text]]:
        running = tuple(self.progress.running.items())
        for candidate, place in running[:ROWS]:
            epoch, value = place.record.get("epoch", 0), place.record.get(self.progress.metric)
            said = f"{epoch}/{self.progress.epochs}  {shown(value)}  {duration(now - place.began)}  "
            yield "epoch", Text.assemble(said, (_name(candidate), "dim"))
        if len(running) > ROWS:
            yield "", Text(f"and {len(running) - ROWS} more", "dim")

    def _results(self) -> Iterator[tuple[str, Text]]:
        progress = self.progress
        if progress.baselines:
            words = (f"{name} {shown(value)}" for name, value in progress.baselines.items())
            yield "baselines", Text("  ·  ".join(words))
        if progress.best is not None:
            value, params, name = progress.best
            yield "best", Text.assemble((shown(value), "bold green"), f"  {params:,} params  ", name)


def display(progress: Progress, name: str, stream: TextIO | None) -> Lines:
    """A picture where somebody looks at a terminal, lines where not; nothing without a stream."""
    if stream is None:
        return Lines(progress, name, io.StringIO())
    return (Picture if Console(file=stream).is_terminal else Lines)(progress, name, stream)


def _line(progress: Progress, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> str:
    """[12/60] trial 14  finished  accuracy 0.9722  34,570 params  2.1s  resnet: conv3x3 …"""
    metrics = outcome.metrics
    said = reason if reason is not None else f"{progress.metric} {shown(metrics.get(progress.metric))}"
    size = f"{candidate.predicted['params']:,} params  " if "params" in candidate.predicted else ""
    took = duration(float(outcome.measured.get("busy", 0)))
    place = f"[{progress.finished}/{progress.total}] trial {candidate.number}"
    return f"{place}  {ENDS[state]}: {said}  {size}{took}  {_name(candidate)}"


def _summary(progress: Progress, name: str, why: str) -> str:
    ends = ", ".join(f"{progress.ends[state]} {word}" for state, word in ENDS.items() if progress.ends[state])
    refused = f", {progress.over_limits} not trained (over the limits)" if progress.over_limits else ""
    refused += f", {progress.saved} trainings saved (known before)" if progress.saved else ""
    busy = f", slots {100 * progress.utilisation():.0f}% busy" if progress.busy else ""
    return f"{name}: {why}; {ends or 'no candidate ended'}{refused}{busy}"


def _name(candidate: Candidate) -> str:
    return named(candidate.baseline, candidate.topology.describe())


def shown(value: Any) -> str:
    """0.9722 as people read it; a dash for nothing."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """4.2s, 1m 20s, 2h 05m."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02}s" if minutes < 60 else "{}h {:02}m".format(*divmod(minutes, 60))
