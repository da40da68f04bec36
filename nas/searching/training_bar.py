"""The display of trainings whose number is known: a bar in a terminal, else a line for each training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from nas import units
from nas.searching.candidate import Candidate
from nas.searching.display import storage_line
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome


class TrainingBar(SearchObserver):
    """Shows how many trainings have ended. To be used in a `with` statement.

    title    what is done
    metric   the name of what is printed of a training
    total    trainings in all; `ended` of them ended before
    stream   where to print; None for nowhere
    """

    def __init__(self, title: str, metric: str, total: int, ended: int, stream: TextIO | None) -> None:
        self.total, self.ended_before, self._ended = total, ended, ended
        self.title, self.metric = title, metric
        self.console = Console(file=stream, highlight=False, quiet=stream is None)
        columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("", total=total, completed=ended)

    def __enter__(self) -> TrainingBar:
        before = f", {self.ended_before} of them before" if self.ended_before else ""
        self._print(f"{self.title}: {self.total} trainings{before}")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
        """Print the end of a training, if it failed or if there is no bar."""
        self._ended += 1
        self._bar.advance(self._task)
        if self._bar.disable or reason is not None:
            name, seconds = f"{candidate.baseline}, seed {candidate.seed}", float(outcome.measured.get("busy", 0))
            value = outcome.metrics.get(self.metric)
            result = reason or f"{self.metric} {units.metric(value if isinstance(value, int | float) else None)}"
            self._print(f"[{self._ended}/{self.total}] {name}: {result}  {units.duration(seconds)}")

    def retried(self, candidate: Candidate, reason: str) -> None:
        """Print that a training starts again."""
        self._print(f"{candidate.baseline}, seed {candidate.seed}  once more: {reason}")

    def storage_went(self, reason: str, since: datetime) -> None:
        """Print that the storage is away."""
        self._print(storage_line(reason, since))

    def storage_came_back(self, seconds: float) -> None:
        """Print that the storage is there again."""
        self._print(f"the record is written again, after {units.duration(seconds)}")

    def continued(self, candidate: Candidate, curve: Sequence[Mapping[str, Any]]) -> None:
        """Print after which epoch a training goes on."""
        self._print(f"{candidate.baseline}, seed {candidate.seed}  goes on after epoch {len(curve)}")

    def checkpoints_stopped(self, reason: str) -> None:
        """Print why no more checkpoints are written."""
        self._print(f"no more checkpoints: {reason}")

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)
