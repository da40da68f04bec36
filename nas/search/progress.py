"""What a search has done so far in this session: counted once, shown by whoever wants to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.search.proposals import Candidate
from nas.search.session import Outcome, Watcher
from nas.space import SearchSpace


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
    slots   candidates at a time
    """

    space: SearchSpace
    total: int
    before: int
    slots: int
    ends: Counter[str] = field(default_factory=Counter)
    over_limits: int = 0
    running: dict[Candidate, Place] = field(default_factory=dict)
    best: tuple[float, Candidate] | None = None
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
        self.last, self.busy = now, self.busy + busy
        place = self.running.setdefault(candidate, Place(now - busy, now))
        place.reported, place.record = now, record

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
        self.running.pop(candidate, None)
        self.ends[state] += 1
        value = outcome.metrics.get(self.metric) if state == "COMPLETE" else None
        if candidate.baseline:
            self.baselines[candidate.baseline] = value
        if value is not None and (self.best is None or self._better(value, self.best[0])):
            self.best = value, candidate

    def refused(self, candidate: Candidate) -> None:
        self.over_limits += 1

    def _better(self, left: float, right: float) -> bool:
        return left > right if self.space.task.direction == "maximize" else left < right

    def utilisation(self, now: float | None = None) -> float:
        """Time spent training / (slots × time), from the first candidate's start to the last one's end; or to `now`,
        with what is under way."""
        if self.first is None:
            return 0.0
        busy, end = self.busy, self.last
        if now is not None:
            busy, end = busy + sum(now - place.reported for place in self.running.values()), now
        return min(1.0, busy / (self.slots * max(end - self.first, 1e-9)))

    def seconds_left(self, now: float) -> float | None:
        """At the pace so far; None before anything has ended."""
        done = self.ends.total() + sum(
            place.record.get("epoch", 0) / self.epochs * 0.999 for place in self.running.values()
        )
        if self.first is None or not self.ends:
            return None
        return (now - self.first) / done * max(0.0, self.total - self.before - done)
