"""Propose what to train next: the sampler suggests, equal topologies are never trained twice, limits refuse."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.errors import OverLimits, SpaceError, TopologyError
from nas.sampling.features import most_promising, recorded_proxies
from nas.sampling.named import Enumeration
from nas.sampling.topologies import GuidedTrial
from nas.searching.candidate import Candidate, PredictCost
from nas.searching.repeats import Request
from nas.searching.sampler_study import SamplerStudy, limit_excess
from nas.space import SearchSpace
from nas.study import compat
from nas.study.attributes import (
    BASELINE,
    CURVE,
    KEY,
    PAIR,
    PILOT,
    PREDICTED,
    REASON,
    REPEAT,
    SEED,
    TOPOLOGY,
    ended_by_person,
    recorded,
)
from nas.study.states import KNOWN
from nas.study.writer import TrialHandle, resolved
from nas.topology import Topology

# how many suggestions in a row may be known: first of the sampler, then uniform ones; then the space is enumerated
SAMPLED, DRAWN = 20, 200


class Proposer:
    """Proposes candidates whose canonical keys are new to the run.

    space, sampler  the search space, and the Optuna sampler that suggests points of it
    predict_cost    the cost of a topology before training
    trials          the trials of the run's study so far
    seed            the seed of every candidate's training
    other           makes the uniform suggestions those of this session and process alone

    known_keys, refused_keys, dismissed_keys  topologies that were tried; of these, those over the limits, and those
                    whose trial a person ended, who may queue them again
    elsewhere       number of a trial that another process trains → its key
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: BaseSampler,
        predict_cost: PredictCost,
        trials: Sequence[FrozenTrial],
        seed: int,
        other: int = 0,
    ) -> None:
        self.space, self.predict_cost, self.seed = space, predict_cost, seed
        self.sampler_study = SamplerStudy(space, sampler)
        self.known_keys: set[str] = set()
        self.refused_keys: set[str] = set()
        self._trained_keys: set[str] = set()
        self.dismissed_keys: set[str] = set()
        self.elsewhere: dict[int, str] = {}
        for trial in trials:
            if trial.state != TrialState.WAITING:
                self.recall(trial)
        self._rng = random.Random(seed + other)
        self._points = itertools.chain(space.points())  # unlike a generator, it survives a `yield from` that is closed
        self._exhaustive = isinstance(sampler, Enumeration)
        self._rivals: list[Candidate] = []  # the candidates of which the prefilter chooses one
        self._saved = 0  # suggestions since the last candidate whose topologies were trained before
        self._passed_over = False  # whether the prefilter left any candidate since the enumeration began

    def recall(self, trial: FrozenTrial) -> None:
        """Take a trial of an earlier session, or of another process; one that is trained there may be taken again."""
        known = recorded(trial)
        key = known.get(KEY, "")
        self.elsewhere.pop(trial.number, None)
        if trial.state == TrialState.RUNNING:
            self.elsewhere[trial.number] = key
        if not trial.state.is_finished() or str(known.get(REASON, "")).startswith(KNOWN):
            return  # a trial that ended because its topology was known tells nothing of it
        self.known_keys.add(key)
        if ended_by_person(trial):
            self.dismissed_keys.add(key)
        if CURVE in known:
            self._trained_keys.add(key)
            self.refused_keys.discard(key)
        elif REASON in known and key not in self._trained_keys:
            self.refused_keys.add(key)  # over the limits: proposing them again saves no training
        self.sampler_study.load(trial)

    def lose(self, candidate: Candidate) -> None:
        """Take back a candidate that another process was faster to train."""
        if not candidate.repeat:
            self.known_keys.discard(candidate.topology.key)
        if candidate.sampler_trial is not None:
            self.sampler_study.discard(candidate.sampler_trial)

    def propose(self) -> Candidate | None:
        """Return a new candidate with its predicted cost, or None if every topology of the space is known.

        With a prefilter it is the best of several candidates, and the others stay unknown.
        """
        rule = self.space.search.prefilter
        while len(self._rivals) < (rule.sample if rule else 1) and (candidate := self._new()) is not None:
            if candidate.refusal is not None:
                return self._chosen(candidate)
            self._rivals.append(candidate)
        if not self._rivals:
            return None
        chosen = self._rivals.pop(most_promising(self.space, [rival.topology for rival in self._rivals]))
        for rival in self._rivals:
            if rival.sampler_trial is not None:
                self.sampler_study.discard(rival.sampler_trial)
        self._passed_over = self._passed_over or bool(self._rivals)
        self._rivals.clear()
        return self._chosen(chosen)

    def requested(self, request: Request) -> Candidate:
        """Return the candidate of a request."""
        topology, seed, earlier, baseline, pilot, pair = request
        sampler_trial = None
        with contextlib.suppress(SpaceError):  # a baseline may be no point of the space
            sampler_trial, _ = self.sampler_study.suggest(self.space.encode(topology))
        made = Candidate(
            topology,
            seed,
            baseline=baseline,
            sampler_trial=sampler_trial,
            pilot=pilot,
            repeat=earlier,
            more={} if pair is None else {PAIR: dict(pair)},
        )
        made = self._priced(made)
        return made if earlier else self._chosen(made)

    def from_waiting(self, handle: TrialHandle, trial: FrozenTrial) -> Candidate:
        """Return the candidate of a WAITING trial: a baseline, one of an earlier session, or one a person enqueued.

        Raises NasError if the trial describes no topology.
        """
        params = compat.enqueued_params(trial) or trial.params
        sampler_trial, topology = self.sampler_study.suggest(params) if params else (None, None)
        attributes = recorded(trial)
        if TOPOLOGY in attributes:
            topology = Topology.from_dict(attributes[TOPOLOGY])
        if topology is None:
            raise TopologyError("a queued trial must have parameters or a topology, but has neither")
        candidate = Candidate(
            topology,
            seed=attributes.get(SEED, self.seed),
            baseline=attributes.get(BASELINE),
            sampler_trial=sampler_trial,
            was_waiting=True,
            repeat=attributes.get(REPEAT, 0),
            pilot=attributes.get(PILOT, False),
            handle=resolved(handle),
        )
        self.elsewhere.pop(handle.number, None)
        known = topology.key in self.known_keys - self.dismissed_keys or topology.key in self.elsewhere.values()
        if known and not candidate.repeat:
            candidate.refusal = f"{KNOWN}: the same topology was tried before"
            return candidate
        return self._chosen(self._priced(candidate))

    def tell(
        self,
        candidate: Candidate,
        state: TrialState,
        values: Sequence[float] | None,
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Tell the sampler how a candidate ended; `attributes` are what its training added to the record."""
        if candidate.sampler_trial is not None:
            known = {PREDICTED: candidate.predicted, **attributes}
            self.sampler_study.tell(candidate.sampler_trial, state, values, known)

    def _is_known(self, topology: Topology) -> bool:
        return topology.key in self.known_keys or topology.key in self.elsewhere.values()

    def _new(self) -> Candidate | None:
        """Return a candidate that is neither known nor one of the rivals."""
        rivals = {rival.topology.key for rival in self._rivals}
        for trial, topology in self._suggestions():
            if not self._is_known(topology) and topology.key not in rivals:
                noted = self.sampler_study.system_attrs(trial)
                return self._priced(Candidate(topology, self.seed, sampler_trial=trial, system_attrs=noted))
            self.sampler_study.discard(trial)
            self._saved += self._is_known(topology) and topology.key not in self.refused_keys
        if not self._passed_over:
            return None
        self._points, self._passed_over = itertools.chain(self.space.points()), False
        return self._new()

    def _chosen(self, candidate: Candidate) -> Candidate:
        """Mark the candidate as known and add its proxies, if it is going to be trained."""
        self.known_keys.add(candidate.topology.key)
        candidate.saved, self._saved = self._saved, 0
        if candidate.refusal is None:
            candidate.proxies = recorded_proxies(self.space, candidate.topology)
        return candidate

    def _priced(self, candidate: Candidate) -> Candidate:
        """Add the predicted cost, and a refusal if it is over the limits."""
        candidate.predicted = self.predict_cost(candidate.topology)
        limits = self.space.limits
        over = [
            f"{candidate.predicted[name]:,} {name}, {limits[name]:,} allowed"
            for name, share in limit_excess(self.space, candidate.predicted).items()
            if share > 0
        ]
        if over:
            candidate.refusal = f"{OverLimits.reason}: {'; '.join(over)}"
            self.refused_keys.add(candidate.topology.key)
        return candidate

    def _suggestions(self) -> Iterator[tuple[Trial, Topology]]:
        """Yield suggestions of the sampler, then uniform ones, then all points of the space in their order."""
        for _ in range(0 if self._exhaustive else SAMPLED):
            yield self.sampler_study.suggest()
        for params, topology in self._without_sampler():
            if not self._is_known(topology):
                yield self.sampler_study.suggest(params)

    def _without_sampler(self) -> Iterator[tuple[dict[str, Any], Topology]]:
        """Yield uniform points, then the points of the enumeration, which goes on where it stopped before."""
        for _ in range(0 if self._exhaustive else DRAWN):
            trial = GuidedTrial({}, self._rng)
            topology = self.space.sample(trial)
            yield trial.params, topology
        yield from self._points
