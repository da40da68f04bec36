"""The session of a retraining: the trainings of its plan, one after the other. Does not import Ray."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.cost import predict
from nas.searching.candidate import Candidate
from nas.searching.ended import recorded_end
from nas.searching.observer import SearchObserver, tell, tell_of_outages
from nas.searching.outcome import TrialOutcome
from nas.space import SearchSpace
from nas.study.attributes import KEY, SEED, recorded
from nas.study.retraining import RECIPE, TRAIN_ON, Network, Plan, Retraining, TrainingId
from nas.study.writer import StudyWriter, created, resolved
from nas.topology import Topology


class RetrainSession:
    """Asks for the trainings of a plan that have not ended, every network once before any network again.

    space      that of the run, with the recipe of the plan
    observers  receive the events
    left       the trainings that were not asked for yet
    total      how many trainings the plan has; `ended` of them had ended before
    """

    past: Sequence[FrozenTrial] = ()
    waits = False

    def __init__(self, retraining: Retraining, space: SearchSpace, plan: Plan) -> None:
        self.space, self.plan, self.retraining = space, plan, retraining
        self.observers: Sequence[SearchObserver] = ()
        self.writer = StudyWriter(retraining)
        tell_of_outages(self.writer.outage, lambda: self.observers)
        self.writer.replay()
        ended = retraining.trials()
        every = [(network, seed) for seed, network in itertools.product(plan.seeds, plan.networks)]
        self.left = deque((network, seed) for network, seed in every if plan.identify(network, seed) not in ended)
        self.total, self.ended = len(every), len(every) - len(self.left)
        self.writer.requeue(list(self.writer.trials(TrialState.RUNNING)))
        waiting = self.writer.trials(TrialState.WAITING).items()
        self._waiting = {TrainingId.of(recorded(trial)): handle for handle, trial in waiting}
        self._running: list[Candidate] = []
        self._topologies: dict[str, Topology] = {}
        self._kept: dict[str, tuple[float, int]] = {}  # key → the loss and the number of the trial with the weights
        for trial in (ended.get(plan.identify(network, seed)) for network, seed in every):
            if trial is not None and trial.state == TrialState.COMPLETE:
                known = recorded(trial)
                self._leads(known[KEY], known[SEED], trial.values[0], trial.number)

    def ask(self, patience: float | None = None) -> Candidate | None:
        """Return the next training; its trial is RUNNING in the study. None if none is left.

        Raises RunError if the record cannot be written.
        """
        self.writer.check()
        while self.left:
            network, seed = self.left.popleft()
            candidate = self._candidate(network, seed)
            handle = self._waiting.get(self.plan.identify(network, seed))
            if handle is None:
                candidate.handle = self.writer.add(candidate.trial(TrialState.RUNNING))
            elif self.writer.claim(handle):
                candidate.handle = resolved(handle)
            else:
                continue  # another process trains it
            self._running.append(candidate)
            return candidate
        return None

    def tell(
        self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None] = lambda: None
    ) -> None:
        """Record how a training ended; its weights are kept if it is the best of its network on validation."""
        self._running.remove(candidate)
        state, reason, attributes, values = recorded_end(candidate, outcome, self.space)
        if values is not None:
            trial = created(candidate.handle)  # during an outage this takes until it is over
            leads = trial is None or self._leads(candidate.topology.key, candidate.seed, values[0], trial.number)
            if leads and self.retraining.keeps_weights and (content := weights()) is not None:
                self.writer.keep_weights(candidate.handle, content)
        self.writer.finish(candidate.handle, state, attributes, values)
        if self.retraining.keeps_weights:
            self.writer.drop_weights({number for _, number in self._kept.values()})
        self.writer.check()
        tell(self.observers, lambda observer: observer.ended(candidate, state.name, reason, outcome))

    def report(self, candidate: Candidate, record: Mapping[str, Any]) -> None:
        """Record the metric of an epoch, so that others see the curve while it grows."""
        self.writer.report(candidate.handle, record, self.space.task.metric)

    def dismiss(self, candidate: Candidate) -> None:
        """Let go of a training whose trial a person has ended: it has failed."""
        self._running.remove(candidate)
        self.writer.forget(candidate.handle)
        tell(self.observers, lambda observer: observer.dismissed(candidate))

    def close(self) -> None:
        """Set the trials of running trainings to WAITING, and wait until all is written."""
        try:
            self.writer.requeue(candidate.handle for candidate in self._running)
            self._running.clear()
        finally:
            self.writer.close()

    def _candidate(self, network: Network, seed: int) -> Candidate:
        topology = self._topologies.setdefault(network.key, self.retraining.topology(network))
        return Candidate(
            topology,
            seed,
            predicted=predict(topology, self.plan.recipe),
            baseline=network.name,
            more={RECIPE: self.plan.recipe.model_dump(mode="json"), TRAIN_ON: self.plan.train_on},
        )

    def _leads(self, key: str, seed: int, value: float, number: int) -> bool:
        """Return whether a trial is the best of its network so far, or the first if validation was trained on."""
        loss = self.space.goals.target.loss(value) if self.plan.train_on == "train" else float(seed)
        if loss >= self._kept.get(key, (math.inf, 0))[0]:
            return False
        self._kept[key] = loss, number
        return True
