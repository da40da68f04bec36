"""One search as a conversation: ask for a candidate, tell how it ended. Knows no Ray.

Everything that makes a record true is decided here: which candidates count, in what state a trial ends and why, what
is queued again, whose weights are kept, and when the search is over.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas import study as names
from nas.errors import NasError
from nas.search.leaders import Leaders, Losses
from nas.search.proposals import Candidate, Price, Proposer
from nas.search.record import Entry, Record, settled
from nas.search.samplers import sampler
from nas.space import SearchSpace
from nas.study import Run
from nas.topology import Topology

REFUSED_IN_A_ROW = 1000
LOOK_AT_QUEUE_S = 1.0  # how often the record is asked for what others have queued


@dataclass
class Outcome:
    """How a training ended.

    failed   why, if it did
    whole    was it trained to the full budget? If it neither was nor failed, a scheduler stopped it
    curve    a record of each epoch
    measured what it took: {seconds, busy, …}
    """

    curve: Sequence[Mapping[str, Any]] = ()
    whole: bool = False
    failed: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Any]:
        """What the last epoch says, but for its place and its time."""
        last = self.curve[-1] if self.curve else {}
        return {name: value for name, value in last.items() if name not in ("epoch", "seconds")}

    def verdict(self, metric: str) -> tuple[TrialState, str | None]:
        """The state that is true of it, and the reason where it failed."""
        if self.failed is not None:
            return TrialState.FAIL, self.failed
        if metric not in self.metrics:
            return TrialState.FAIL, f"missing metric: no {metric!r} was reported"
        value = self.metrics[metric]
        if not isinstance(value, int | float) or not math.isfinite(value):
            return TrialState.FAIL, f"diverged: {metric} is {value!r}"
        return (TrialState.COMPLETE if self.whole else TrialState.PRUNED), None


class Watcher:
    """Who looks at a search. Every method is called on the thread of the search, and does nothing here."""

    def started(self, candidate: Candidate) -> None:
        """It will be trained as soon as a slot has taken it up."""

    def epoch(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """An epoch has ended; its slot was busy with it for so many seconds."""

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
        """It counts."""

    def refused(self, candidate: Candidate) -> None:
        """It is not trained and does not count."""


class Session:
    """Asks and tells until `trials` candidates have finished, over all sessions of the run."""

    def __init__(self, run: Run, price: Price, trials: int, watchers: Sequence[Watcher] = ()) -> None:
        self.run, self.space, self.trials, self.watchers = run, run.space, trials, watchers
        self.record = Record(run)
        self.over: str | None = None  # why nothing more can be proposed
        self.running: list[Candidate] = []
        self.leaders = Leaders()
        self._queue: deque[tuple[Entry, FrozenTrial]] = deque()
        self._looked = -math.inf
        self._recover(price)

    def ask(self) -> Candidate | None:
        """The next candidate to train, now RUNNING in the record; None while, or because, there is none."""
        if self.over is not None or self.finished + len(self.running) >= self.trials:
            return None
        candidate = self._queued() or self._proposed()
        if candidate is not None:
            self.running.append(candidate)
            for watcher in self.watchers:
                watcher.started(candidate)
        return candidate

    def tell(self, candidate: Candidate, outcome: Outcome, weights: Callable[[], bytes | None] = lambda: None) -> None:
        """A candidate has ended; `weights` is called where they are worth keeping."""
        self.running.remove(candidate)
        self.finished += 1
        state, reason = outcome.verdict(self.space.task.metric)
        attributes = {names.CURVE: list(outcome.curve), names.MEASURED: dict(outcome.measured)}
        attributes |= {names.METRICS: outcome.metrics} if reason is None else {names.REASON: reason}
        values = self._values(candidate, outcome) if state == TrialState.COMPLETE else None
        leads = values is not None and self._leads(candidate.number, values, outcome.metrics, candidate.predicted)
        if leads and (content := weights()) is not None:
            self.record.keep_weights(candidate.entry, content)
        self.record.finish(candidate.entry, state, attributes, values)
        if leads:
            self.record.drop_weights(self.leaders.numbers)
        self.proposer.tell(candidate, state, values)
        for watcher in self.watchers:
            watcher.ended(candidate, state.name, reason, outcome)

    def close(self) -> None:
        """What is still running waits in the record for the next session; everything is written."""
        self.record.requeue([candidate.entry.result() for candidate in self.running])
        self.running.clear()
        self.record.close()

    def _queued(self) -> Candidate | None:
        """The first that waits in the record and can be trained."""
        if not self._queue and time.monotonic() - self._looked > LOOK_AT_QUEUE_S:
            self._looked = time.monotonic()
            self._queue.extend(self.record.trials(TrialState.WAITING).items())
        while self._queue:
            entry, trial = self._queue.popleft()
            if not self.record.take(entry):
                continue
            try:
                candidate = self.proposer.queued(entry, trial)
            except NasError as error:
                self.record.finish(settled(entry), TrialState.FAIL, {names.REASON: f"error: {error}"})
                continue
            self.record.complete(entry, trial, candidate.trial(TrialState.RUNNING))
            if candidate.refusal is None:
                return candidate
            self.record.finish(candidate.entry, TrialState.FAIL, {})
            self._refuse(candidate)
        return None

    def _proposed(self) -> Candidate | None:
        """The sampler's next; what is over the limits goes into the record and does not count."""
        for _ in range(REFUSED_IN_A_ROW):
            candidate = self.proposer.next()
            if candidate is None:
                self.over = "the space is exhausted: every topology was tried"
                return None
            state = TrialState.RUNNING if candidate.refusal is None else TrialState.FAIL
            candidate.entry = self.record.add(candidate.trial(state, self.proposer.memory.notes(candidate)))
            if candidate.refusal is None:
                return candidate
            self._refuse(candidate)
        self.over = f"{REFUSED_IN_A_ROW} proposals in a row were over the limits"
        return None

    def _refuse(self, candidate: Candidate) -> None:
        self.proposer.tell(candidate, TrialState.FAIL, None)
        for watcher in self.watchers:
            watcher.refused(candidate)

    def _recover(self, price: Price) -> None:
        """Take up the record: what was running waits again, what has finished is known, baselines are queued."""
        self.record.requeue(list(self.record.trials(TrialState.RUNNING)))
        trials = self.record.trials()
        past = list(trials.values())
        search = self.space.search
        # a seed that has drawn already would draw the same again
        self.proposer = Proposer(self.space, sampler(search.sampler, search.seed + len(past)), price, past, search.seed)
        self.finished = sum(map(names.counts, past))
        for trial in past:
            if trial.state == TrialState.COMPLETE:
                known = trial.user_attrs
                self._leads(trial.number, trial.values, known.get(names.METRICS, {}), known.get(names.PREDICTED, {}))
        self._queue_baselines(past)

    def _queue_baselines(self, past: Sequence[FrozenTrial]) -> None:
        """Those that the record does not hold yet; two names of one topology are one trial."""
        known = {trial.user_attrs.get(names.BASELINE) for trial in past}
        same: dict[str, tuple[list[str], Topology]] = {}
        for name, topology in self.space.baselines().items():
            same.setdefault(topology.key, ([], topology))[0].append(name)
        for spelled, topology in same.values():
            name = " = ".join(spelled)
            if name not in known:
                self.record.add(self._waiting(name, topology))
        self.record.flush()

    def _waiting(self, name: str, topology: Topology) -> FrozenTrial:
        try:
            params = self.space.encode(topology)
        except NasError:  # not a point of the space
            params = {}
        return Candidate(topology, self.space.search.seed, baseline=name).trial(
            TrialState.WAITING, {"fixed_params": params}
        )

    def _values(self, candidate: Candidate, outcome: Outcome) -> list[float]:
        """The objectives, in their order."""
        known = {"accuracy": outcome.metrics[self.space.task.metric], **candidate.predicted, **outcome.measured}
        return [float(known[name]) for name in self.space.search.objectives]

    def _leads(
        self, number: int, values: Sequence[float], metrics: Mapping[str, Any], predicted: Mapping[str, Any]
    ) -> bool:
        better = names.directions(self.space).values()
        losses = tuple(-value if way == "maximize" else value for value, way in zip(values, better, strict=True))
        return self.leaders.add(number, losses, _rank(self.space, metrics, predicted))


def _rank(space: SearchSpace, metrics: Mapping[str, Any], predicted: Mapping[str, Any]) -> Losses:
    """What the winner is chosen by: the metric, among equals the fewest parameters (see Run.winner)."""
    metric = metrics.get(space.task.metric, math.nan)
    return (-metric if space.task.direction == "maximize" else metric), predicted.get("params", math.inf)
