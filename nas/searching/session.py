"""One session of a search: ask for a candidate, tell how its training ended. Does not import Ray.

A session decides which candidates count, in which state each trial ends, whose weights are kept and when the search
is over. Its parts are proposals (what to train), prefetch (when to compute it), waiting (what the study holds
already), repeats (leaders with other seeds), controls (what the winner is compared with) and outcome (the state in
which a trial ends).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from optuna.trial import TrialState

from nas.errors import OverLimits, TopologyError
from nas.sampling.named import make_sampler
from nas.searching.candidate import Candidate, PredictCost
from nas.searching.controls import Controls
from nas.searching.ended import CREATED_S, EndedTraining, recorded_end
from nas.searching.observer import SearchObserver, tell_of_outages
from nas.searching.outcome import FinalState, TrialOutcome, final_state
from nas.searching.pairs import Pairs
from nas.searching.pilot import PilotPhase, resolved
from nas.searching.prefetch import Prefetcher
from nas.searching.proposals import Proposer
from nas.searching.repeats import Repeats
from nas.searching.waiting import WaitingTrials, enqueue_baselines
from nas.study import Run
from nas.study.attributes import (
    BASELINE,
    KEY,
    PAIR,
    PILOT,
    REASON,
    REUSED,
    SEED,
    TOPOLOGY,
    counts,
    recorded,
    value_of,
)
from nas.study.journal import is_created
from nas.study.leaders import TopologyScores, TrialScore
from nas.study.reuse import ReusableTrial, reusable_trials
from nas.study.writer import StudyWriter, created
from nas.topology import Topology


class Session:
    """Asks and tells until `trials` trials have finished, counted over all sessions of the run, and all controls.

    run           its folder and its study; what earlier sessions left is taken up
    predict_cost  the cost of a topology before training
    trials        how many trials the run is to have in the end
    observers     receive the events of the search
    baselines     name → topology, tried first besides those of the space
    reuse         other runs whose results make trainings needless
    seeded        whether a result may depend on the seed
    only_pilot    whether the session ends after the baselines and the pilot
    storage_timeout  seconds for which results wait in memory while the storage does not answer; the default is
                  nas.study.outage.TIMEOUT_S

    exhausted     why nothing more can be proposed; None while something can
    running       the candidates that were asked for and not told yet
    finished      how many trials have ended; baselines do not count
    scores        which topologies lead
    past          the trials that the study held when the session began
    replayed      how many results of an earlier session were not in the study before this one began
    """

    def __init__(
        self,
        run: Run,
        predict_cost: PredictCost,
        trials: int,
        observers: Sequence[SearchObserver] = (),
        baselines: Mapping[str, Topology] | None = None,
        reuse: Sequence[Run] = (),
        *,
        seeded: bool = True,
        only_pilot: bool = False,
        storage_timeout: float | None = None,
    ) -> None:
        self.run, self.space, self.trials, self.observers = run, run.space, trials, observers
        self.exhausted: str | None = None
        self.running: list[Candidate] = []
        self.scores = TopologyScores()
        self.repeats = Repeats(self.space, seeded)
        self.pairs = Pairs(self.space, self.repeats)
        self.controls = Controls(self.space, self.repeats)
        self.only_pilot = only_pilot
        self.writer = StudyWriter(run, storage_timeout)
        tell_of_outages(self.writer.outage, lambda: self.observers)
        self._uncreated: list[EndedTraining] = []
        self._reusable = reusable_trials(reuse, self.space)
        self.replayed = self.writer.replay()
        self.writer.requeue(list(self.writer.trials(TrialState.RUNNING)))
        self.past = list(self.writer.trials().values())
        self.finished = sum(map(counts, self.past))
        wanted = resolved(self.space, trials, seeded, self.past)
        self.pilot = PilotPhase(self.space, wanted, self.repeats, self.controls)
        named = self.space.baselines(price=predict_cost) | dict(baselines or {})
        enqueue_baselines(self.writer, self.space, self.past, named)
        self._recall_past()
        seed = self.space.search.seed
        sampler = make_sampler(self.space, seed + len(self.past))  # with the first seed it would suggest the same again
        self.proposer = Proposer(self.space, sampler, predict_cost, self.past, seed)
        self.waiting = WaitingTrials(self.writer, self.proposer)
        self._prefetcher = Prefetcher(self.waiting, self.proposer, self._reusable_result)
        self.prefetch()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train: no trial, none that waits in the study, and no control."""
        if self.running or self._uncreated or self.waiting.are_there() or self.pilot.choose() is not None:
            return False
        left = self.exhausted is None and self.finished < self.trials
        return self.only_pilot or (not left and self.controls.choose(self.scores) is None)

    def prefetch(self) -> None:
        """Begin to compute the next proposal, if there is to be one: of the pilot, the trials, then the controls."""
        if self._prefetcher.pending:
            return
        pilot = self.pilot.choose()
        if pilot is not None or self.only_pilot:
            self._prefetcher.start(pilot, suggest=False)
            return
        counted = sum(candidate.baseline is None for candidate in self.running)
        if self.exhausted is None and self.finished + counted < self.trials:
            so_far = self.finished, self.trials, self.scores
            self._prefetcher.start(self.pairs.choose(*so_far) or self.repeats.choose(*so_far))
        elif not counted:
            self._prefetcher.start(self.controls.choose(self.scores), suggest=False)

    def ask(self, patience: float | None = None) -> Candidate | None:
        """Return the next candidate to train; its trial is RUNNING in the study.

        patience  seconds to wait for a proposal; None for as long as it takes

        Returns None if no candidate is left (see `exhausted`), if as many are running as are wanted, or if the proposal
        is not there in time. Raises RunError if the record cannot be written.
        """
        self._tell_of_created()
        self.writer.check()
        deadline = math.inf if patience is None else time.monotonic() + patience
        while True:
            self.prefetch()
            proposal = self._prefetcher.fetch(deadline)
            if proposal is None:
                return None
            self.exhausted = self.exhausted or proposal.exhausted
            for refused in proposal.refused:
                self._refuse(refused)
            candidate = proposal.candidate
            if candidate is None and proposal.refused:
                continue  # what was asked for was refused, but there may be something else
            if candidate is None and self._uncreated:
                left = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
                if created(self._uncreated[0].candidate.handle, left) is not None:
                    self._tell_of_created()
                    continue  # what follows the last trial depends on it
                self.writer.check()
            if candidate is None:
                return None
            if candidate.reused is None:
                self._start(candidate)
                self.prefetch()
                return candidate
            self._reuse(candidate, candidate.reused)

    def tell(
        self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None] = lambda: None
    ) -> None:
        """Record how the training of a candidate ended.

        weights  is called if the candidate is a leader; returns a safetensors file, or None without weights

        Raises RunError if the record cannot be written; the result is in the journal then.
        """
        self.running.remove(candidate)
        self.finished += candidate.baseline is None
        self._tell_of_created()
        if created(candidate.handle, CREATED_S) is not None:
            self._end(candidate, outcome, weights)
        else:  # the storage is away since the training began: without a number nobody is a leader
            self._uncreated.append(EndedTraining(candidate, outcome, weights()))
        self.writer.check()

    def report(self, candidate: Candidate, record: Mapping[str, Any]) -> None:
        """Record the metric of an epoch, so that others see the curve while it grows."""
        self.writer.report(candidate.handle, record, self.space.task.metric)

    def dismiss(self, candidate: Candidate) -> None:
        """Let go of a candidate whose trial a person has ended: it does not count."""
        self.running.remove(candidate)
        self.writer.forget(candidate.handle)
        self.proposer.dismissed_keys.add(candidate.topology.key)  # a person may queue it again
        self._prefetcher.tell(candidate, TrialState.FAIL, None, {})
        for observer in self.observers:
            observer.dismissed(candidate)

    def close(self) -> None:
        """Set the trials of running candidates to WAITING for the next session, and wait until all is written."""
        try:
            for ended in self._uncreated:
                self._record_late(ended)
            self._uncreated.clear()
            self._prefetcher.close()
        finally:
            unfinished = (*self.running, *self._prefetcher.unfetched())
            try:
                self.writer.requeue(candidate.handle for candidate in unfinished)
                self.running.clear()
            finally:
                self.writer.close()

    def _recall_past(self) -> None:
        """Take the seeds and the scores of the trials of earlier sessions."""
        for trial in self.past:
            known = recorded(trial)
            self.pairs.began(known.get(TOPOLOGY), known.get(PAIR))
            if {KEY, SEED} <= known.keys():
                self.repeats.began(known[KEY], known[SEED])
            if known.keys() & {BASELINE, PILOT}:
                self._recall_role(known)
            if trial.state == TrialState.COMPLETE and math.isfinite(value_of(self.space.goals.target, known)):
                self.scores.add(TrialScore.of(self.space, trial.number, trial.values, known))

    def _recall_role(self, known: Mapping[str, Any]) -> None:
        """Take a baseline or a topology of the pilot from an earlier session; one that cannot be read is left out."""
        with contextlib.suppress(TopologyError):
            topology = Topology.from_dict(known.get(TOPOLOGY))
            over = str(known.get(REASON, "")).startswith(OverLimits.reason)
            self._note_role(topology, known.get(BASELINE), bool(known.get(PILOT)) and not over)

    def _start(self, candidate: Candidate) -> None:
        self.running.append(candidate)
        self._began(candidate)
        self._add_trial(candidate, TrialState.RUNNING)
        for observer in self.observers:
            observer.started(candidate)

    def _began(self, candidate: Candidate) -> None:
        self.repeats.began(candidate.topology.key, candidate.seed)
        self.pairs.began(candidate.topology, candidate.more.get(PAIR))
        self._note_role(candidate.topology, candidate.baseline, candidate.pilot and candidate.refusal is None)

    def _note_role(self, topology: Topology, baseline: str | None, pilot: bool) -> None:
        if baseline is not None:
            self.controls.add(topology, baseline)
        if pilot:
            self.pilot.began(topology)

    def _refuse(self, candidate: Candidate) -> None:
        self._began(candidate)
        self.pilot.refused += candidate.pilot
        self._add_trial(candidate, TrialState.FAIL)
        for observer in self.observers:
            observer.refused(candidate)

    def _reuse(self, candidate: Candidate, known: ReusableTrial) -> None:
        """Give the candidate the result of another run."""
        self._add_trial(candidate, TrialState.RUNNING)
        outcome = TrialOutcome.of_complete(known.trial)
        candidate.seed = recorded(known.trial)[SEED]
        self._began(candidate)
        self._conclude(candidate, outcome, known.weights, {REUSED: known.origin, SEED: candidate.seed})
        for observer in self.observers:
            observer.reused(candidate, outcome)

    def _end(self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None]) -> None:
        state, reason = self._conclude(candidate, outcome, weights)
        for observer in self.observers:
            observer.ended(candidate, state.name, reason, outcome)

    def _tell_of_created(self) -> None:
        """Record the trainings that ended before their trials were created, of which the storage has created some."""
        while self._uncreated and is_created(self._uncreated[0].candidate.handle):
            ended = self._uncreated.pop(0)
            self._end(ended.candidate, ended.outcome, ended.weights)

    def _record_late(self, ended: EndedTraining) -> None:
        """Record a training once its trial is created. If it never is, the journal has the result and the weights."""
        candidate, outcome, content = ended
        if created(candidate.handle) is not None:
            self._end(candidate, outcome, ended.weights)
            return
        state, _, attributes, values = recorded_end(candidate, outcome, self.space)
        if content is not None and values is not None:
            self.writer.keep_weights(candidate.handle, content)
        self.writer.finish(candidate.handle, state, attributes, values)

    def _add_trial(self, candidate: Candidate, state: TrialState) -> None:
        """Create the trial of a candidate, unless it was in the study before."""
        if not candidate.was_waiting:
            candidate.handle = self.writer.add(candidate.trial(state))

    def _reusable_result(self, candidate: Candidate) -> ReusableTrial | None:
        """Return the result of another run if it has every objective of this one. Called on the prefetcher's thread."""
        known = None if candidate.repeat else self._reusable.get(candidate.topology.key)
        if known is None:
            return None
        state, _ = final_state(TrialOutcome.of_complete(known.trial), self.space, candidate.predicted)
        return known if state == TrialState.COMPLETE else None

    def _conclude(
        self,
        candidate: Candidate,
        outcome: TrialOutcome,
        weights: Callable[[], bytes | None],
        origin: Mapping[str, Any] = MappingProxyType({}),
    ) -> FinalState:
        """Write the end of a trial and the weights of leaders, and tell the sampler."""
        state, reason, attributes, values = recorded_end(candidate, outcome, self.space)
        attributes |= origin
        leads = False
        if values is not None:
            known = {**candidate.record, **attributes}
            leads = self.scores.add(TrialScore.of(self.space, candidate.number, values, known))
        if leads and (content := weights()) is not None:
            self.writer.keep_weights(candidate.handle, content)
        self.writer.finish(candidate.handle, state, attributes, values)
        if leads:
            self.writer.drop_weights(self.scores.numbers)
        self._prefetcher.tell(candidate, state, values, attributes)
        return state, reason
