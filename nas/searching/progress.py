"""The progress of a session in figures: counted once, for every display."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from nas.searching.candidate import Candidate
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.space import SearchSpace
from nas.study.attributes import BASELINE, CURVE, LINE, METRICS, PREDICTED, REUSED, SAVED, counts, recorded
from nas.study.states import KNOWN


class BestSoFar(NamedTuple):
    """The best candidate so far: its metric, its number of parameters and its name."""

    value: float
    params: int
    name: str


@dataclass(eq=False)
class RunningCandidate:
    """A candidate that is being trained.

    began, reported  when it began, and when it last reported an epoch (time.monotonic)
    record           that of its last epoch
    """

    began: float
    reported: float
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Progress(SearchObserver):
    """Counts the events of a session.

    total       trials that the run is to have in the end; `before` of them ended in earlier sessions. Baselines and
                other controls do not count
    slots       of all devices (nas.searching.packing)
    ended_here  how many of them ended in this session; `ended_elsewhere` ended in other processes meanwhile
    ends        how many trainings of this session ended in each state, those of controls as well
    over_limits refused candidates of this session
    saved       trainings that a known result made needless, over all sessions
    running     the candidates that are being trained
    best        the best candidate over all sessions; None before one has finished
    baselines   the metric of each baseline over all sessions; None if it did not finish
    busy        seconds that slots have spent in training
    first, last when the first candidate began, and when an epoch was last reported (time.monotonic)
    """

    space: SearchSpace
    total: int
    before: int
    slots: int
    ended_here: int = 0
    ended_elsewhere: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    over_limits: int = 0
    saved: int = 0
    running: dict[Candidate, RunningCandidate] = field(default_factory=dict)
    best: BestSoFar | None = None
    baselines: dict[str, float | None] = field(default_factory=dict)
    busy: float = 0.0
    first: float | None = None
    last: float = 0.0

    @property
    def metric(self) -> str:
        """The name of the metric by which candidates are ranked."""
        return self.space.task.metric

    @property
    def epochs(self) -> int | None:
        """The number of epochs of the full budget; None where a function decides it."""
        return self.space.epochs

    @property
    def finished(self) -> int:
        """The number of trials that have ended, over all sessions."""
        return self.before + self.ended_here + self.ended_elsewhere

    def epoch_ended(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """Add the seconds of an epoch, and keep its record."""
        now = time.monotonic()
        self.first = now - busy if self.first is None else min(self.first, now - busy)
        self.last, self.busy = now, self.busy + candidate.slots * busy
        running = self.running.setdefault(candidate, RunningCandidate(now - busy, now))
        running.reported, running.record = now, record

    def started(self, candidate: Candidate) -> None:
        """Add the trainings that were saved before this candidate."""
        self.saved += candidate.saved

    def retried(self, candidate: Candidate, reason: str) -> None:
        """Remove a candidate whose training will start again."""
        self.running.pop(candidate, None)

    def reused(self, candidate: Candidate, outcome: TrialOutcome) -> None:
        """Add a saved training and its result."""
        self.saved += candidate.saved + 1
        value = outcome.metrics.get(self.metric)
        self._note(value, candidate.baseline, candidate.predicted, candidate.topology.describe())

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
        """Count the end of a training and keep its result if it is the best, or that of a baseline."""
        self.running.pop(candidate, None)
        self.ends[state] += 1
        self.ended_here += candidate.baseline is None
        value = outcome.metrics.get(self.metric) if state == "COMPLETE" else None
        self._note(value, candidate.baseline, candidate.predicted, candidate.topology.describe())

    def changed_by_others(self, trial: FrozenTrial) -> None:
        """Count a trial that another process has ended, and keep its result."""
        if trial.state.is_finished():
            self.ended_elsewhere += counts(trial)
            self.recall([trial])

    def dismissed(self, candidate: Candidate) -> None:
        """Remove a candidate whose trial a person has ended."""
        self.running.pop(candidate, None)

    def machines_changed(self, slots: int, message: str) -> None:
        """Take the number of slots that there are now; the utilisation so far is counted with it too."""
        self.slots = max(1, slots)

    def refused(self, candidate: Candidate) -> None:
        """Count a refused candidate."""
        known = str(candidate.refusal).startswith(KNOWN)
        self.over_limits += not known
        self.saved += candidate.saved + known

    def recall(self, trials: Iterable[FrozenTrial]) -> None:
        """Add the results of earlier sessions."""
        for trial in trials:
            known = recorded(trial)
            self.saved += known.get(SAVED, 0) + (REUSED in known)
            if CURVE not in known:
                continue
            value = known[METRICS].get(self.metric) if trial.state.name == "COMPLETE" else None
            self._note(value, known.get(BASELINE), known.get(PREDICTED, {}), known.get(LINE, ""))

    def _note(self, value: float | None, baseline: str | None, predicted: Mapping[str, Any], line: str) -> None:
        if baseline:
            self.baselines[baseline] = value
        if value is not None and (self.best is None or self._better(value, self.best.value)):
            self.best = BestSoFar(value, predicted.get("params", 0), one_line(baseline, line))

    def _better(self, left: float, right: float) -> bool:
        return left > right if self.space.task.direction == "maximize" else left < right

    def utilisation(self, now: float | None = None) -> float:
        """Return the share of time that slots spent in training: slot-seconds of training / (slots × seconds).

        The time runs from the start of the first candidate to the last report, or to `now`; then the candidates that
        are being trained count as busy since their last reports.
        """
        if self.first is None:
            return 0.0
        busy, end = self.busy, self.last
        if now is not None:
            running = tuple(self.running.items())  # the display reads it on a thread of its own
            busy += sum(candidate.slots * (now - state.reported) for candidate, state in running)
            end = now
        return min(1.0, busy / (self.slots * max(end - self.first, 1e-9)))

    @property
    def under_way(self) -> float:
        """The part of the running trials that has been trained; 1.5 means one and a half trainings."""
        running, epochs = tuple(self.running.items()), self.epochs or math.inf
        return sum(float(one.record.get("epoch", 0)) / epochs for who, one in running if who.baseline is None)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left at the pace so far; None before a candidate has ended."""
        if self.first is None or not self.ends:
            return None
        done = self.ends.total() + self.ended_elsewhere + self.under_way
        return (now - self.first) / done * max(0.0, self.total - self.finished - self.under_way)


def one_line(baseline: str | None, line: str) -> str:
    """Return the description of a candidate, after the name of the baseline if it is one."""
    return f"{baseline}: {line}" if baseline else line
