"""What to train next: a sampler proposes, the canonical key forbids to train anything twice, the price refuses.

A sampler reads and writes its study dozens of times for one proposal. So it works on a copy of the record in memory,
and the record itself is written once, when a candidate is decided on: a suggestion takes as long on a database
across the ocean as on none.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from nas.errors import OverLimits, SpaceError, TopologyError
from nas.sampling import history
from nas.sampling.foresight import foreseen, most_promising
from nas.sampling.samplers import Enumeration
from nas.space import SearchSpace
from nas.study import attributes as names
from nas.study.record import Entry, settled
from nas.study.reuse import Finished
from nas.topology import Topology

SAMPLED, DRAWN = 20, 200  # proposals in a row that may be known: of the sampler, then at random, then all in turn

Price = Callable[[Topology], Mapping[str, int]]  # → {params, flops, memory}


@dataclass(eq=False)
class Candidate:
    """A topology that is to be trained, or, with a refusal, is not.

    draft    its trial in the sampler's memory; None for what is no point of the space
    notes    what the sampler noted about it
    entry    its trial in the record; it has one already where it `waited` there
    saved    proposals before it that were not trained because an equal topology was
    repeat   its topology was begun so often before, with other seeds
    reused   a result of another run, which makes its training needless
    slots    of a card, that it takes while it is trained (nas.searching.packing)
    """

    topology: Topology
    seed: int
    predicted: Mapping[str, int] = field(default_factory=dict)
    proxies: Mapping[str, float | None] = field(default_factory=dict)
    baseline: str | None = None
    refusal: str | None = None
    draft: Trial | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    waited: bool = False
    saved: int = 0
    repeat: int = 0
    reused: Finished | None = None
    slots: int = 1
    entry: Future[Entry] = field(default_factory=Future)

    @property
    def number(self) -> int:
        """Of its trial in the record."""
        return self.entry.result().number

    @property
    def attributes(self) -> dict[str, Any]:
        """What the record says of it before it is trained."""
        known: dict[str, Any] = {
            names.TOPOLOGY: self.topology.to_dict(),
            names.LINE: self.topology.describe(),
            names.KEY: self.topology.key,
            names.SEED: self.seed,
        }
        if self.predicted:
            known[names.PREDICTED] = dict(self.predicted)
        if self.proxies:
            known[names.PROXIES] = dict(self.proxies)
        if self.baseline:
            known[names.BASELINE] = self.baseline
        if self.refusal:
            known[names.REASON] = self.refusal
        if self.saved:
            known[names.SAVED] = self.saved
        if self.repeat:
            known[names.REPEAT] = self.repeat
        return known

    def trial(self, state: TrialState) -> FrozenTrial:
        """Its entry in the record before it is trained."""
        params, distributions = (self.draft.params, self.draft.distributions) if self.draft else ({}, {})
        return create_trial(
            state=state,
            params=params,
            distributions=distributions,
            user_attrs=self.attributes,
            system_attrs=dict(self.notes),
        )


class Memory:
    """The study that a sampler thinks with: every trial of the record that has parameters, and what is under way.

    A trial that was refused for its price is, here, one that breaks a constraint: Optuna's samplers learn from it.
    """

    def __init__(self, space: SearchSpace, sampler: BaseSampler) -> None:
        self.space = space
        self.study = optuna.create_study(directions=list(names.directions(space).values()), sampler=sampler)

    def draw(self, params: Mapping[str, Any] | None = None) -> tuple[Trial, Topology]:
        """The sampler's next point, or the one with these parameters. Raises SpaceError where there is none."""
        if params is not None:
            self.study.enqueue_trial(dict(params))
        trial = self.study.ask()
        try:
            return trial, self.space.sample(trial)
        except ValueError as error:  # Optuna's, or a SpaceError
            self.forget(trial)
            raise SpaceError(str(error)) from None

    def forget(self, draft: Trial) -> None:
        """It is known, or cannot be: nothing was tried."""
        draft.set_user_attr(history.UNTRIED, True)
        self.study.tell(draft, state=TrialState.FAIL)

    def tell(self, draft: Trial, state: TrialState, values: Sequence[float] | None, known: Mapping[str, Any]) -> None:
        """How a trial ended; `known`: what the record says of it."""
        for name, value in constraints(self.space, known).items():
            draft.set_constraint(name, value)
        for name, lesson in lessons(self.space, known).items():
            draft.set_user_attr(name, lesson)
        self.study.tell(draft, values, state)

    def recall(self, trial: FrozenTrial) -> None:
        """A finished trial of the record."""
        if not trial.params:
            return
        known = trial.user_attrs
        state = _seen_as(trial.state, excess(self.space, known.get(names.PREDICTED) or {}))
        self.study.add_trial(
            create_trial(
                state=state,
                values=trial.values if state == TrialState.COMPLETE else None,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=lessons(self.space, known),
                system_attrs=trial.system_attrs,
                constraints=constraints(self.space, known),
            )
        )

    def notes(self, draft: Trial) -> dict[str, Any]:
        """What the sampler noted about its own trial (a generation, say), but for its scratch work."""
        noted = self.study.get_trials(deepcopy=False)[draft.number].system_attrs
        scratch = ("tpe:", "gp:", "fixed_params")
        return {name: value for name, value in noted.items() if not name.startswith(scratch)}


class Dice:
    """A trial that decides everything uniformly, without a study; `params` is what it decided."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.params = rng, dict[str, Any]()

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.params.setdefault(name, self.rng.choice(choices))

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.params.setdefault(name, self.rng.randint(low, high)))


class Proposer:
    """The next candidate, never one whose key is known.

    space, sampler  where from
    price           a topology's cost before training
    trials          the record so far
    seed            of every candidate
    """

    def __init__(
        self, space: SearchSpace, sampler: BaseSampler, price: Price, trials: Sequence[FrozenTrial], seed: int
    ) -> None:
        self.space, self.price, self.seed = space, price, seed
        self.memory = Memory(space, sampler)
        past = [trial for trial in trials if trial.state.is_finished()]
        self.known = {trial.user_attrs.get(names.KEY, "") for trial in past}
        trained = {trial.user_attrs.get(names.KEY, "") for trial in past if names.CURVE in trial.user_attrs}
        self.refused = self.known - trained  # to train these would have been against the limits
        for trial in past:
            self.memory.recall(trial)
        self._rng = random.Random(seed + len(trials))
        self._points = itertools.chain(space.points())  # a generator would end with the first that yields from it
        self._in_turn = isinstance(sampler, Enumeration)
        self._rivals: list[Candidate] = []  # of whom a prefilter will choose one
        self._saved = 0  # proposals since the last candidate that were trained before
        self._passed_over = False  # has it left any behind since the turn began?

    def next(self) -> Candidate | None:
        """A new candidate, priced; None when every topology of the space is known.

        With a prefilter it is the best of several, and the others are as unknown as they were.
        """
        rule = self.space.search.prefilter
        while len(self._rivals) < (rule.sample if rule else 1) and (candidate := self._new()) is not None:
            if candidate.refusal is not None:
                return self._decided(candidate)
            self._rivals.append(candidate)
        if not self._rivals:
            return None
        chosen = self._rivals.pop(most_promising(self.space, [rival.topology for rival in self._rivals]))
        for rival in self._rivals:
            if rival.draft is not None:
                self.memory.forget(rival.draft)
        self._passed_over = self._passed_over or bool(self._rivals)
        self._rivals.clear()
        return self._decided(chosen)

    def _new(self) -> Candidate | None:
        """One that is neither known nor a rival."""
        rivals = {rival.topology.key for rival in self._rivals}
        for draft, topology in self._draws():
            if topology.key not in self.known and topology.key not in rivals:
                return self._priced(Candidate(topology, self.seed, draft=draft, notes=self.memory.notes(draft)))
            self.memory.forget(draft)
            self._saved += topology.key in self.known and topology.key not in self.refused
        if not self._passed_over:
            return None
        self._points, self._passed_over = itertools.chain(self.space.points()), False
        return self._new()

    def _decided(self, candidate: Candidate) -> Candidate:
        """It is known from now on; with its proxies, where it will be trained."""
        self.known.add(candidate.topology.key)
        candidate.saved, self._saved = self._saved, 0
        if candidate.refusal is None:
            candidate.proxies = foreseen(self.space, candidate.topology)
        return candidate

    def again(self, topology: Topology, seed: int, repeat: int) -> Candidate:
        """What was evaluated before, with another seed."""
        draft = None
        with contextlib.suppress(SpaceError):  # a baseline may be no point of the space
            draft, _ = self.memory.draw(self.space.encode(topology))
        return self._priced(Candidate(topology, seed, draft=draft, repeat=repeat))

    def queued(self, entry: Entry, trial: FrozenTrial) -> Candidate:
        """The candidate that waits in the record: a baseline, what a search left behind, what a person enqueued.

        Raises NasError where it is no topology.
        """
        params = trial.system_attrs.get("fixed_params") or trial.params
        draft, topology = self.memory.draw(params) if params else (None, None)
        if names.TOPOLOGY in trial.user_attrs:
            topology = Topology.from_dict(trial.user_attrs[names.TOPOLOGY])
        if topology is None:
            raise TopologyError("a queued trial must have parameters or a topology, but has neither")
        seed, baseline = trial.user_attrs.get(names.SEED, self.seed), trial.user_attrs.get(names.BASELINE)
        candidate = Candidate(topology, seed, baseline=baseline, draft=draft, waited=True, entry=settled(entry))
        candidate.repeat = trial.user_attrs.get(names.REPEAT, 0)
        if topology.key in self.known and not candidate.repeat:
            candidate.refusal = "known: the same topology was tried before"
            return candidate
        return self._decided(self._priced(candidate))

    def tell(
        self,
        candidate: Candidate,
        state: TrialState,
        values: Sequence[float] | None,
        known: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """The sampler learns how a candidate ended; `known`: what the record says of its training."""
        if candidate.draft is not None:
            state = _seen_as(state, excess(self.space, candidate.predicted))
            self.memory.tell(candidate.draft, state, values, {names.PREDICTED: candidate.predicted, **known})

    def _priced(self, candidate: Candidate) -> Candidate:
        candidate.predicted = self.price(candidate.topology)
        limits = self.space.limits.model_dump()
        over = [
            f"{candidate.predicted[name]:,} {name}, {limits[name]:,} allowed"
            for name, share in excess(self.space, candidate.predicted).items()
            if share > 0
        ]
        if over:
            candidate.refusal = f"{OverLimits.reason}: {'; '.join(over)}"
            self.refused.add(candidate.topology.key)
        return candidate

    def _draws(self) -> Iterator[tuple[Trial, Topology]]:
        for _ in range(0 if self._in_turn else SAMPLED):
            yield self.memory.draw()
        for params, topology in self._without_sampler():
            if topology.key not in self.known:
                yield self.memory.draw(params)

    def _without_sampler(self) -> Iterator[tuple[dict[str, Any], Topology]]:
        """At random, then in turn. The turn goes on where it stopped: what it has passed is known for good."""
        for _ in range(0 if self._in_turn else DRAWN):
            dice = Dice(self._rng)
            topology = self.space.sample(dice)
            yield dice.params, topology
        yield from self._points


def excess(space: SearchSpace, predicted: Mapping[str, int]) -> dict[str, float]:
    """cost / limit − 1 for everything that is limited and priced: positive is over the limits."""
    limits = space.limits.model_dump(exclude_none=True)
    return {name: predicted[name] / limit - 1 for name, limit in limits.items() if name in predicted}


def constraints(space: SearchSpace, known: Mapping[str, Any]) -> dict[str, float]:
    """What a trial breaks, where positive: the limits, and the constraints of the search."""
    predicted = known.get(names.PREDICTED) or {}
    wanted = space.violations({**predicted, **(known.get(names.MEASURED) or {})})
    return excess(space, predicted) | {f"{name} wanted": value for name, value in wanted.items()}


def lessons(space: SearchSpace, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial teaches besides its values: the learning curve of the metric, and of what was pruned the price."""
    objectives, metric = space.search.objectives, space.task.metric
    learned: dict[str, Any] = {}
    curve = {entry["epoch"]: entry.get(metric) for entry in known.get(names.CURVE) or ()}
    curve = {epoch: value for epoch, value in curve.items() if isinstance(value, int | float) and math.isfinite(value)}
    if curve and "accuracy" in objectives:
        learned[history.CURVE] = {"objective": objectives.index("accuracy"), "values": curve}
    predicted = known.get(names.PREDICTED) or {}
    learned[history.KNOWN] = [predicted.get(name) for name in objectives]
    return learned


def _seen_as(state: TrialState, constraints: Mapping[str, float]) -> TrialState:
    """The state in which a sampler looks at a trial: what was refused for its price is not worth nothing to it."""
    over = state == TrialState.FAIL and any(share > 0 for share in constraints.values())
    return TrialState.PRUNED if over else state
