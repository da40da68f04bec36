"""What a search has done so far in this session: counted once, shown by whoever wants to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from nas.searching.proposals import Candidate
from nas.searching.session import Outcome, Watcher
from nas.space import SearchSpace
from nas.study import attributes as names


class Best(NamedTuple):
    """The best candidate so far: its metric, its size and what it is."""

    value: float
    params: int
    name: str


@dataclass(eq=False)
class Place:
    """A candidate on a slot: since when, until which moment it has reported, and what."""

    began: float
    reported: float
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Progress(Watcher):
    """The figures of a session.

    total   candidates that the run is to finish; `before` of them were finished by earlier sessions
    slots   of all cards (nas.searching.packing): where a candidate takes one, as many candidates at a time
    saved   trainings that a recorded result made needless, `before` included
    """

    space: SearchSpace
    total: int
    before: int
    slots: int
    ends: Counter[str] = field(default_factory=Counter)
    over_limits: int = 0
    saved: int = 0
    running: dict[Candidate, Place] = field(default_factory=dict)
    best: Best | None = None
    baselines: dict[str, float | None] = field(default_factory=dict)
    busy: float = 0.0
    first: float | None = None
    last: float = 0.0

    @property
    def metric(self) -> str:
        """What candidates are ranked by."""
        return self.space.task.metric

    @property
    def epochs(self) -> int:
        """Of a full training."""
        return self.space.recipe.epochs

    @property
    def finished(self) -> int:
        return self.before + self.ends.total()

    def epoch(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        now = time.monotonic()
        self.first = now - busy if self.first is None else min(self.first, now - busy)
        self.last, self.busy = now, self.busy + candidate.slots * busy
        place = self.running.setdefault(candidate, Place(now - busy, now))
        place.reported, place.record = now, record

    def started(self, candidate: Candidate) -> None:
        self.saved += candidate.saved

    def again(self, candidate: Candidate, why: str) -> None:
        self.running.pop(candidate, None)

    def reused(self, candidate: Candidate, outcome: Outcome) -> None:
        self.saved += candidate.saved + 1
        value = outcome.metrics.get(self.metric)
        self._note(value, candidate.baseline, candidate.predicted, candidate.topology.describe())

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
        self.running.pop(candidate, None)
        self.ends[state] += 1
        value = outcome.metrics.get(self.metric) if state == "COMPLETE" else None
        self._note(value, candidate.baseline, candidate.predicted, candidate.topology.describe())

    def refused(self, candidate: Candidate) -> None:
        self.saved += candidate.saved
        self.over_limits += 1

    def recall(self, trials: Iterable[FrozenTrial]) -> None:
        """What earlier sessions found."""
        for trial in trials:
            known = trial.user_attrs
            self.saved += known.get(names.SAVED, 0) + (names.REUSED in known)
            if names.CURVE not in known:
                continue
            value = known[names.METRICS].get(self.metric) if trial.state.name == "COMPLETE" else None
            self._note(value, known.get(names.BASELINE), known.get(names.PREDICTED, {}), known.get(names.LINE, ""))

    def _note(self, value: float | None, baseline: str | None, predicted: Mapping[str, Any], line: str) -> None:
        if baseline:
            self.baselines[baseline] = value
        if value is not None and (self.best is None or self._better(value, self.best.value)):
            self.best = Best(value, predicted.get("params", 0), named(baseline, line))

    def _better(self, left: float, right: float) -> bool:
        return left > right if self.space.task.direction == "maximize" else left < right

    def utilisation(self, now: float | None = None) -> float:
        """Time that slots spent training / (slots × time), from the first candidate's start to the last one's end; or
        to `now`, with what is under way."""
        if self.first is None:
            return 0.0
        busy, end = self.busy, self.last
        if now is not None:
            under_way = sum(who.slots * (now - place.reported) for who, place in tuple(self.running.items()))
            busy, end = busy + under_way, now
        return min(1.0, busy / (self.slots * max(end - self.first, 1e-9)))

    @property
    def under_way(self) -> float:
        """How much of the candidates that are running has been trained: 1.5 is one and a half."""
        return sum(place.record.get("epoch", 0) / self.epochs for place in tuple(self.running.values()))

    def seconds_left(self, now: float) -> float | None:
        """At the pace so far; None before anything has ended."""
        if self.first is None or not self.ends:
            return None
        done = self.ends.total() + self.under_way
        return (now - self.first) / done * max(0.0, self.total - self.before - done)


def named(baseline: str | None, line: str) -> str:
    """A candidate in one line, a baseline by its name first."""
    return f"{baseline}: {line}" if baseline else line
