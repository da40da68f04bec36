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
from functools import partial
from types import MappingProxyType
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.sampling.named import make_sampler
from nas.searching.candidate import Candidate, PredictCost
from nas.searching.ended import CREATED_S, EndedTraining, recorded_end
from nas.searching.evaluations import Evaluations
from nas.searching.observer import SearchObserver, tell, tell_of_outages
from nas.searching.others import Others
from nas.searching.outcome import FinalState, TrialOutcome, reusable_result
from nas.searching.prefetch import Prefetcher
from nas.searching.proposals import Proposer
from nas.searching.waiting import WaitingTrials, enqueue_baselines
from nas.study import Run
from nas.study.attributes import (
    REASON,
    REUSED,
    SEED,
    counts,
    recorded,
    value_of,
)
from nas.study.journal import is_created
from nas.study.leaders import TopologyScores, TrialScore
from nas.study.lease import STORAGE_ERRORS
from nas.study.membership import Membership
from nas.study.reuse import ReusableTrial, reusable_trials
from nas.study.states import KNOWN
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
    membership    of the search of the run, which other processes may search too; None for a study of its own

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
        membership: Membership | None = None,
    ) -> None:
        self.run, self.space, self.trials, self.observers = run, run.space, trials, observers
        self.exhausted: str | None = None
        self.running: list[Candidate] = []
        self.scores = TopologyScores()
        self.only_pilot = only_pilot
        self.finished = 0
        self.writer = StudyWriter(run, storage_timeout, membership)
        tell_of_outages(self.writer.outage, lambda: self.observers)
        self._uncreated: list[EndedTraining] = []
        self._claimed: Candidate | None = None  # its trial is being created, and others may have been faster
        reusable = partial(reusable_result, reusable_trials(reuse, self.space), self.space)
        self.replayed = self.writer.replay()
        self.writer.rescue(self.writer.trials(TrialState.RUNNING), unowned=self.writer.is_alone)
        self.past = list(self.writer.trials().values())
        self.others = Others(self.writer, self.past, trials)
        self.evaluations = Evaluations(self.space, trials, self.past, seeded=seeded)
        self.repeats, self.pairs = self.evaluations.repeats, self.evaluations.pairs
        self.controls, self.pilot = self.evaluations.controls, self.evaluations.pilot
        named = self.space.baselines(price=predict_cost) | dict(baselines or {})
        if self.writer.is_alone:  # otherwise another process has enqueued them
            enqueue_baselines(self.writer, self.space, self.past, named)
        for trial in self.past:
            self._recall(trial)
        seed, other = self.space.search.seed, self.others.number_of_session()
        sampler = make_sampler(self.space, seed + other)  # with the first seed it would suggest the same again
        self.proposer = Proposer(self.space, sampler, predict_cost, self.past, seed, other)
        self.waiting = WaitingTrials(self.writer, self.proposer)
        self._prefetcher = Prefetcher(self.waiting, self.proposer, reusable)
        self.prefetch()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train: no trial, none that waits in the study, and no control."""
        busy = self.running or self._uncreated or self.others.elsewhere
        if busy or self.waiting.are_there() or self.pilot.choose() is not None:
            return False
        left = self.exhausted is None and self.finished < self.trials
        return self.only_pilot or (not left and self.controls.choose(self.scores) is None)

    @property
    def waits(self) -> bool:
        """Whether other processes train what this one may have to train, if they die. It reads the study."""
        if self.others.present:
            with contextlib.suppress(*STORAGE_ERRORS):
                self.others.read()
            self._take_news()
        return bool(self.others.elsewhere)

    def prefetch(self) -> None:
        """Begin to compute the next proposal, if there is to be one: of the pilot, the trials, then the controls."""
        if self._prefetcher.pending:
            return
        pilot = self.pilot.choose()
        if pilot is not None or self.only_pilot:
            self._prefetcher.start(pilot, suggest=False)
            return
        counted = sum(candidate.baseline is None for candidate in self.running)
        if self.exhausted is None and self.others.begun(self.finished + counted) < self.trials:
            so_far = self.finished, self.trials, self.scores
            self._prefetcher.start(self.pairs.choose(*so_far) or self.repeats.choose(*so_far))
        elif self.others.elsewhere:  # what others leave behind is queued again
            self._prefetcher.start(None, suggest=False)
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
            self._take_news()
            if (claimed := self._claimed) is not None:
                if created(claimed.handle, _seconds_until(deadline)) is None:
                    self.writer.check()
                    return None
                self._claimed = None
                if claimed.lost:
                    self.writer.forget(claimed.handle)
                    self._prefetcher.lose(claimed)
                elif self._started(claimed):
                    return claimed
                continue
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
                if created(self._uncreated[0].candidate.handle, _seconds_until(deadline)) is not None:
                    self._tell_of_created()
                    continue  # what follows the last trial depends on it
                self.writer.check()
            if candidate is None:
                return None
            self._add_trial(candidate, TrialState.RUNNING)
            if self.others.present and not candidate.was_waiting:
                self._claimed = candidate
            elif self._started(candidate):
                return candidate

    def tell(
        self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None] = lambda: None
    ) -> None:
        """Record how the training of a candidate ended.

        weights  is called if the candidate is a leader; returns a safetensors file, or None without weights

        Raises RunError if the record cannot be written; the result is in the journal then.
        """
        if candidate.lost:
            self.dismiss(candidate)
            return
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
        tell(self.observers, lambda observer: observer.dismissed(candidate))

    def close(self) -> None:
        """Set the trials of running candidates to WAITING for the next session, and wait until all is written."""
        try:
            for ended in self._uncreated:
                self._record_late(ended)
            self._uncreated.clear()
            self._prefetcher.close()
        finally:
            unfinished = (*self.running, *filter(None, [self._claimed]), *self._prefetcher.unfetched())
            try:
                self.writer.requeue(candidate.handle for candidate in unfinished)
                self.running.clear()
                self._claimed = None
            finally:
                self.writer.close()

    def _take_news(self) -> None:
        for trial in self.others.news():
            self._recall(trial)
            self._prefetcher.recall(trial)
            self._tell_of_change(trial)

    def _tell_of_change(self, trial: FrozenTrial) -> None:
        tell(self.observers, lambda observer: observer.changed_by_others(trial))

    def _recall(self, trial: FrozenTrial) -> None:
        """Take a trial of an earlier session, or of another process."""
        known = recorded(trial)
        met = self.others.meet(trial)
        if str(known.get(REASON, "")).startswith(KNOWN):
            return  # another trial is the same topology
        self.finished += counts(trial)
        self.evaluations.recall(known, met=met)
        if trial.state == TrialState.COMPLETE and math.isfinite(value_of(self.space.goals.target, known)):
            self.scores.add(TrialScore.of(self.space, trial.number, trial.values, known))

    def _started(self, candidate: Candidate) -> bool:
        """Note that a candidate is trained, and begin to compute the next proposal; return False for a known result."""
        if candidate.reused is not None:
            self._reuse(candidate, candidate.reused)
            return False
        self.running.append(candidate)
        if candidate.was_waiting:
            self.others.elsewhere.pop(candidate.number, None)
        self.evaluations.began(candidate)
        tell(self.observers, lambda observer: observer.started(candidate))
        self.prefetch()
        return True

    def _refuse(self, candidate: Candidate) -> None:
        self.evaluations.began(candidate)
        self.pilot.refused += candidate.pilot
        self._add_trial(candidate, TrialState.FAIL)
        tell(self.observers, lambda observer: observer.refused(candidate))

    def _reuse(self, candidate: Candidate, known: ReusableTrial) -> None:
        """Give the candidate the result of another run."""
        outcome = TrialOutcome.of_complete(known.trial)
        candidate.seed = recorded(known.trial)[SEED]
        self.evaluations.began(candidate)
        self._conclude(candidate, outcome, known.weights, {REUSED: known.origin, SEED: candidate.seed})
        tell(self.observers, lambda observer: observer.reused(candidate, outcome))

    def _end(self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None]) -> None:
        state, reason = self._conclude(candidate, outcome, weights)
        tell(self.observers, lambda observer: observer.ended(candidate, state.name, reason, outcome))

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
            judge = self.others.judge(candidate) if state == TrialState.RUNNING else None
            candidate.handle = self.writer.add(candidate.trial(state), judge)

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
        if leads:  # another process may have written those of a leader that is not known here yet
            self.writer.drop_weights(self.scores.numbers, self.scores.known if self.others.present else None)
        self._prefetcher.tell(candidate, state, values, attributes)
        return state, reason


def _seconds_until(deadline: float) -> float | None:
    """Return the seconds that are left until `deadline` (of time.monotonic); None for no limit."""
    return None if deadline == math.inf else max(0.0, deadline - time.monotonic())
