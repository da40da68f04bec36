"""One search as a conversation: ask for a candidate, tell how it ended. Knows no Ray.

Everything that makes a record true is decided here: which candidates count, in what state a trial ends and why, what
is queued again, whose weights are kept, and when the search is over.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from nas.errors import NasError
from nas.sampling.samplers import sampler
from nas.searching.proposals import Candidate, Price, Proposer
from nas.study import Run
from nas.study import attributes as names
from nas.study.leaders import Result, Results
from nas.study.record import Entry, Record, settled
from nas.study.reuse import Finished, finished
from nas.study.worker import Worker
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


class Thought(NamedTuple):
    """What comes next, what was refused before it, and where nothing comes any more: why."""

    candidate: Candidate | None
    refused: list[Candidate]
    over: str | None = None


class Repeat(NamedTuple):
    """A topology that is to be evaluated again, with which seed, and how often it was begun before."""

    topology: Topology
    seed: int
    before: int


class Watcher:
    """Who looks at a search. Every method is called on the thread of the search, and does nothing here."""

    def started(self, candidate: Candidate) -> None:
        """It will be trained as soon as a slot has taken it up."""

    def epoch(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """An epoch has ended; its slot was busy with it for so many seconds."""

    def again(self, candidate: Candidate, why: str) -> None:
        """It starts once more, alone on a card; what it has reported is void."""

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
        """It counts."""

    def refused(self, candidate: Candidate) -> None:
        """It is not trained and does not count."""

    def reused(self, candidate: Candidate, outcome: Outcome) -> None:
        """It has the result of another run: it is not trained and does not count."""


class Session:
    """Asks and tells until `trials` candidates have finished, over all sessions of the run.

    What comes next is thought out ahead, on a thread of its own, while the candidates before it are trained.
    """

    def __init__(
        self,
        run: Run,
        price: Price,
        trials: int,
        watchers: Sequence[Watcher] = (),
        baselines: Mapping[str, Topology] | None = None,
        reuse: Sequence[Run] = (),
    ) -> None:
        self.run, self.space, self.trials, self.watchers = run, run.space, trials, watchers
        self.record = Record(run)
        self.over: str | None = None  # why nothing more can be proposed
        self.running: list[Candidate] = []
        self.results = Results()
        self._seeds: dict[str, set[int]] = {}  # those with which a key was begun
        self._repeats = False  # was the last thought a repeat?
        self._elsewhere = finished(reuse, run.space)
        self._queue: deque[tuple[Entry, FrozenTrial]] = deque()
        self._looked = -math.inf
        self._recover(price, baselines or {})
        self._thinker = Worker("proposer")
        self._next: Future[Thought] | None = None
        self.think()

    def think(self) -> None:
        """Begin to think out the next candidate, if there is to be one."""
        wanted = self.over is None and self.finished + len(self.running) < self.trials
        if wanted and self._next is None:
            again = self._to_repeat()
            self._next = self._thinker.do(self._thought, again)

    def ask(self, patience: float | None = None) -> Candidate | None:
        """The next candidate to train, now RUNNING in the record.

        None where there is none (see `over`), where all that is wanted is running, or where it is not thought out
        after `patience` seconds.
        """
        until = math.inf if patience is None else time.monotonic() + patience
        while (thought := self._thought_out(until)) is not None:
            self.over = thought.over
            for refused in thought.refused:
                self._announce(refused)
            candidate = thought.candidate
            if candidate is not None and candidate.reused is not None:
                self._take_over(candidate, candidate.reused)
                continue
            if candidate is not None:
                self._start(candidate)
                self.think()
            return candidate
        return None

    def _to_repeat(self) -> Repeat | None:
        """The best leader with too few results, in the second half of the search every second time."""
        wanted = self.space.search.repeats
        self._repeats = wanted > 1 and 2 * self.finished >= self.trials and not self._repeats
        for leader in self.results.leading if self._repeats else ():
            seeds = self._seeds[leader.key]
            if len(seeds) < wanted:
                seed = next(seed for seed in itertools.count(self.space.search.seed) if seed not in seeds)
                return Repeat(Topology.from_dict(leader.topology), seed, len(seeds))
        self._repeats = False
        return None

    def _thought_out(self, until: float) -> Thought | None:
        """The next thought, if there is to be one and if it comes in time."""
        self.think()
        if self._next is None:
            return None
        try:
            thought = self._next.result(None if until == math.inf else max(0.0, until - time.monotonic()))
        except TimeoutError:
            return None
        self._next = None
        return thought

    def tell(self, candidate: Candidate, outcome: Outcome, weights: Callable[[], bytes | None] = lambda: None) -> None:
        """A candidate has ended; `weights` is called where they are worth keeping."""
        self.running.remove(candidate)
        self.finished += 1
        state, reason = self._conclude(candidate, outcome, weights)
        for watcher in self.watchers:
            watcher.ended(candidate, state.name, reason, outcome)

    def _take_over(self, candidate: Candidate, known: Finished) -> None:
        """The result of another run is this candidate's."""
        if not candidate.waited:
            candidate.entry = self.record.add(candidate.trial(TrialState.RUNNING))
        outcome = _outcome_of(known.trial)
        candidate.seed = known.trial.user_attrs[names.SEED]
        self._seeds.setdefault(candidate.topology.key, set()).add(candidate.seed)
        origin = {names.REUSED: known.origin, names.SEED: candidate.seed}
        self._conclude(candidate, outcome, known.weights, origin)
        for watcher in self.watchers:
            watcher.reused(candidate, outcome)

    def _conclude(
        self,
        candidate: Candidate,
        outcome: Outcome,
        weights: Callable[[], bytes | None],
        origin: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[TrialState, str | None]:
        """Into the record, and to the sampler."""
        state, reason = self._verdict(candidate, outcome)
        attributes = {names.CURVE: list(outcome.curve), names.MEASURED: dict(outcome.measured), **origin}
        attributes |= {names.METRICS: outcome.metrics} if reason is None else {names.REASON: reason}
        values = self._values(candidate, outcome) if state == TrialState.COMPLETE else None
        known = {**candidate.attributes, **attributes}
        leads = values is not None and self._leads(candidate.number, values, known)
        if leads and (content := weights()) is not None:
            self.record.keep_weights(candidate.entry, content)
        self.record.finish(candidate.entry, state, attributes, values)
        if leads:
            self.record.drop_weights(self.results.numbers)
        self._thinker.do(self.proposer.tell, candidate, state, values, attributes)
        return state, reason

    def close(self) -> None:
        """What is still running waits in the record for the next session; everything is written."""
        try:
            self._thinker.close()
        finally:
            self.record.requeue([candidate.entry.result() for candidate in (*self.running, *self._taken())])
            self.running.clear()
            self.record.close()

    def _taken(self) -> Iterator[Candidate]:
        """What was taken from those that wait, and not asked for."""
        if self._next is not None and self._next.exception() is None:
            candidate = self._next.result().candidate
            if candidate is not None and candidate.waited:
                yield candidate

    def _start(self, candidate: Candidate) -> None:
        self.running.append(candidate)
        self._seeds.setdefault(candidate.topology.key, set()).add(candidate.seed)
        if not candidate.waited:
            candidate.entry = self.record.add(candidate.trial(TrialState.RUNNING))
        for watcher in self.watchers:
            watcher.started(candidate)

    def _announce(self, refused: Candidate) -> None:
        if not refused.waited:
            refused.entry = self.record.add(refused.trial(TrialState.FAIL))
        for watcher in self.watchers:
            watcher.refused(refused)

    # on the thread of the thinker

    def _thought(self, again: Repeat | None) -> Thought:
        """The first that waits in the record, else who is to be repeated, else the sampler's next; and what was refused
        on the way."""
        refused: list[Candidate] = []
        repeats = (self.proposer.again(*repeat) for repeat in (again,) if repeat is not None)
        candidates = itertools.chain(self._queued(), repeats, iter(self.proposer.next, None))
        for candidate in itertools.islice(candidates, REFUSED_IN_A_ROW):
            if candidate.refusal is None:
                candidate.reused = self._result_of(candidate)
                return Thought(candidate, refused)
            self.proposer.tell(candidate, TrialState.FAIL, None)
            refused.append(candidate)
        if len(refused) < REFUSED_IN_A_ROW:
            return Thought(None, refused, "the space is exhausted: every topology was tried")
        return Thought(None, refused, f"{REFUSED_IN_A_ROW} proposals in a row were over the limits")

    def _result_of(self, candidate: Candidate) -> Finished | None:
        """What another run found, where it tells all that this one asks."""
        known = None if candidate.repeat else self._elsewhere.get(candidate.topology.key)
        whole = known is not None and self._verdict(candidate, _outcome_of(known.trial))[0] == TrialState.COMPLETE
        return known if whole else None

    def _queued(self) -> Iterator[Candidate]:
        """What waits in the record: baselines, what a session left behind, what somebody enqueued."""
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
            if candidate.refusal is not None:
                self.record.finish(candidate.entry, TrialState.FAIL, {})
            yield candidate

    # when the session begins

    def _recover(self, price: Price, baselines: Mapping[str, Topology]) -> None:
        """Take up the record: what was running waits again, what has finished is known, baselines are queued."""
        self.record.requeue(list(self.record.trials(TrialState.RUNNING)))
        self.past = list(self.record.trials().values())
        self.finished = sum(map(names.counts, self.past))
        search = self.space.search
        proposing = sampler(self.space, search.seed + len(self.past))  # a seed used again would draw the same again
        self.proposer = Proposer(self.space, proposing, price, self.past, search.seed)
        for trial in self.past:
            if {names.KEY, names.SEED} <= trial.user_attrs.keys():
                self._seeds.setdefault(trial.user_attrs[names.KEY], set()).add(trial.user_attrs[names.SEED])
            if trial.state == TrialState.COMPLETE:
                self._leads(trial.number, trial.values, trial.user_attrs)
        self._queue_baselines(self.past, self.space.baselines() | dict(baselines))

    def _queue_baselines(self, past: Sequence[FrozenTrial], baselines: Mapping[str, Topology]) -> None:
        """Those that the record does not hold yet; two names of one topology are one trial."""
        known = {trial.user_attrs.get(names.KEY) for trial in past if names.BASELINE in trial.user_attrs}
        same: dict[str, tuple[list[str], Topology]] = {}
        for name, topology in baselines.items():
            same.setdefault(topology.key, ([], topology))[0].append(name)
        for key, (spelled, topology) in same.items():
            if key not in known:
                self.record.add(self._waiting(" = ".join(spelled), topology))
        self.record.flush()

    def _waiting(self, name: str, topology: Topology) -> FrozenTrial:
        try:
            params = self.space.encode(topology)
        except NasError:  # not a point of the space
            params = {}
        notes = {"fixed_params": params}  # as study.enqueue_trial does it
        return Candidate(topology, self.space.search.seed, baseline=name, notes=notes).trial(TrialState.WAITING)

    def _verdict(self, candidate: Candidate, outcome: Outcome) -> tuple[TrialState, str | None]:
        """What is true of the outcome; a candidate of which an objective is not known has failed."""
        state, reason = outcome.verdict(self.space.task.metric)
        if state == TrialState.COMPLETE:
            missing = set(self.space.search.objectives) - self._figures(candidate, outcome).keys()
            if missing:
                return TrialState.FAIL, f"missing metric: no {min(missing)!r} was measured"
        return state, reason

    def _values(self, candidate: Candidate, outcome: Outcome) -> list[float]:
        """The objectives, in their order."""
        known = self._figures(candidate, outcome)
        return [float(known[name]) for name in self.space.search.objectives]

    def _figures(self, candidate: Candidate, outcome: Outcome) -> dict[str, Any]:
        """Everything that may be an objective."""
        return {"accuracy": outcome.metrics[self.space.task.metric], **candidate.predicted, **outcome.measured}

    def _leads(self, number: int, values: Sequence[float], known: Mapping[str, Any]) -> bool:
        better = names.directions(self.space).values()
        losses = tuple(-value if way == "maximize" else value for value, way in zip(values, better, strict=True))
        rank, feasible = names.standing(self.space, known), names.feasible(self.space, known)
        return self.results.add(Result(number, known[names.TOPOLOGY], known[names.KEY], losses, rank, feasible))


def _outcome_of(trial: FrozenTrial) -> Outcome:
    """How a trial of the record that is COMPLETE ended."""
    known = trial.user_attrs
    return Outcome(known[names.CURVE], whole=True, measured=known.get(names.MEASURED, {}))
