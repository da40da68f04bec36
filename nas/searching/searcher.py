"""A session as a Searcher of Ray Tune: Tune asks it for configurations, and its callback reports what happened.

Tune's own record is thrown away. Tune cannot tell a training that reached its end from one that a scheduler stopped,
it has no state for a missing metric, and it does not notice a candidate that hangs: this module does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from optuna.trial import FrozenTrial
from ray.exceptions import RayError
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from nas.errors import Lost, OutOfMemory, RunError, TimedOut
from nas.searching.callbacks import NotPickled
from nas.searching.candidate import Candidate
from nas.searching.compat import actor_of, crash_of
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.searching.packing import Placements
from nas.searching.slots import Machine
from nas.searching.trainable import CandidateTrainable
from nas.space import SearchSpace

PATIENCE_S = 0.02  # seconds for which Tune waits for a proposal while other candidates are trained
WEIGHTS_S = 300  # seconds for the weights of a leader to arrive


class TrainingSession(Protocol):
    """Decides what is trained, and records it: nas.searching.session.Session, or that of a confirmation.

    space      how candidates are trained
    observers  receive the events
    """

    space: SearchSpace
    observers: Sequence[SearchObserver]

    @property
    def past(self) -> Sequence[FrozenTrial]:
        """The trials of earlier sessions."""

    def ask(self, patience: float | None = None) -> Candidate | None:
        """Return the next candidate to train; None if there is none within so many seconds."""

    def report(self, candidate: Candidate, record: Mapping[str, Any]) -> None:
        """Record the end of an epoch."""

    def tell(
        self, candidate: Candidate, outcome: TrialOutcome, weights: Callable[[], bytes | None] = lambda: None
    ) -> None:
        """Record how the training of a candidate ended; `weights` returns those of the trained network."""

    def dismiss(self, candidate: Candidate) -> None:
        """Let go of a candidate whose trial a person has ended: it does not count."""


@dataclass(eq=False)
class ActiveTraining:
    """A candidate that Tune trains.

    began       when it began (time.monotonic); 0 before
    curve       the record of every epoch so far
    busy        seconds that its slot was busy with it
    place       the host and the GPU, once it has reported
    trial       its trial in Tune, once it has begun
    kill_reason why this module ended it; None if it did not
    """

    candidate: Candidate
    began: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    busy: float = 0.0
    place: str = ""
    trial: Trial | None = None
    kill_reason: str | None = None


class SessionSearcher(NotPickled, Searcher):
    """Suggests the candidates of a session, each as soon as a device has room for it.

    session      is asked and told
    machine      the devices
    timeout      seconds that the training of a candidate may take; None for no limit
    retries      how often a candidate is trained whose process dies
    stop_reason  is called after every event; returns why the search stops now, or None

    placements   which candidate is on which device
    trainings    the candidates that Tune trains, by the id of their trial in Tune
    dismissed    candidates whose trial a person has ended: they are killed at the next check
    stopped      why the search was stopped; None if it was not
    error        the error that stopped it
    """

    def __init__(
        self,
        session: TrainingSession,
        machine: Machine,
        timeout: float | None = None,
        stop_reason: Callable[[], str | None] = lambda: None,
        retries: int = 1,
    ) -> None:
        super().__init__()
        self.retries = retries
        self.session, self.machine, self.timeout, self.stop_reason = session, machine, timeout, stop_reason
        self.placements = Placements[Candidate](machine.capacity)
        self.trainings: dict[str, ActiveTraining] = {}
        self.dismissed: set[Candidate] = set()
        self.stopped: str | None = None
        self.error: Exception | None = None

    # ------------------------------------------------------------------------------------------ the Searcher of Tune

    def suggest(self, trial_id: str) -> Any:
        """Return {"topology", "seed", "slots"} of the next candidate; None if there is none at the moment."""
        if self.stopped is not None:
            return Searcher.FINISHED
        try:
            candidate = self._next() if len(self.trainings) < self.machine.max_candidates else None
        except Exception as error:  # noqa: BLE001  # raised again by the driver, once Tune has stopped
            self.fail(error)
            return Searcher.FINISHED
        if candidate is None:
            return None if self.trainings else Searcher.FINISHED
        self.trainings[trial_id] = ActiveTraining(candidate)
        topology = json.dumps(candidate.topology.to_dict())
        return {"topology": topology, "seed": candidate.seed, "slots": candidate.slots}

    def _next(self) -> Candidate | None:
        """Return the first waiting candidate that has room now, else a new one that has room."""
        candidate = self.placements.admit()
        while candidate is None and self.placements.has_room():
            # a slot is free: Tune may wait for a moment, but the running candidates need it soon
            asked = self.session.ask(PATIENCE_S if self.trainings else None)
            if asked is None:
                break
            asked.slots = self.machine.device.size(asked.predicted.get("memory"))
            self.placements.waiting.append(asked)
            candidate = self.placements.admit()
        return candidate

    def candidate(self, trial_id: str) -> Candidate:
        """Return the candidate that a Tune trial evaluates."""
        return self.trainings[trial_id].candidate

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: SessionCallback reports the end of a trial with more details."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study is the only record."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the study is the only record."""

    # ------------------------------------------------------------------------------------ events, of SessionCallback

    def trial_started(self, trial: Trial) -> None:
        """Note when a training began."""
        training = self.trainings[trial.trial_id]
        training.trial, training.began = trial, time.monotonic()

    def epoch_ended(self, trial: Trial, result: dict[str, Any]) -> None:
        """Take the result of a step (see CandidateTrainable)."""
        training = self.trainings[trial.trial_id]
        self.placements.observe(training.candidate, result["device"])
        training.busy += result["busy"]
        training.place = result["place"]
        if result["record"] is not None:
            training.curve.append(result["record"])
            self.session.report(training.candidate, result["record"])
            for observer in self.session.observers:
                observer.epoch_ended(training.candidate, result["record"], result["busy"])

    def trial_ended(self, trial: Trial) -> None:
        """Tell the session how a training ended: with its last result, or because a scheduler stopped it.

        Raises RunError if no candidate can be trained at all.
        """
        training, last = self.trainings[trial.trial_id], trial.last_result
        if last["end"] == CandidateTrainable.NO_EVALUATOR:
            raise RunError(f"no candidate can be trained: {last['reason']}")
        self._release(trial)
        if self._let_go(training.candidate):
            return
        if last["end"] == CandidateTrainable.OUT_OF_MEMORY:
            self._out_of_memory(training, last["reason"], training.busy, last["gpu_memory"])
            return
        outcome = TrialOutcome(
            curve=training.curve,
            full_budget=last["end"] == CandidateTrainable.FULL_BUDGET,
            failure=last["reason"] if last["end"] == CandidateTrainable.FAILED else None,
            measured={"busy": training.busy} | last.get("measured", {}),
        )
        self.session.tell(training.candidate, outcome, lambda: _weights(trial))

    def trial_crashed(self, trial: Trial) -> None:
        """Tell the session that the process of a training died. Raises RunError if it could not be started."""
        if self.stopped is not None:
            return  # the session queues the trial again
        crash = crash_of(trial)
        if crash.setup_failed:
            raise RunError(f"no slot can be started: {crash.last_line[:300]}")
        training = self._release(trial)
        if self._let_go(training.candidate):
            return
        busy = time.monotonic() - training.began
        if training.kill_reason is not None:
            self._failed(training, training.kill_reason, busy)
        elif crash.out_of_memory:
            self._out_of_memory(training, "the machine had none left", busy)
        else:
            self._lost(training, crash.detail[:200], busy)

    def check(self) -> None:
        """Kill candidates that take too long, and all candidates if the search is to stop.

        Tune calls this after every event, at least ten times a second.
        """
        if self.stopped is None:
            self.stopped = self.stop_reason()
        for training in self.trainings.values():
            late = self.timeout is not None and training.began and time.monotonic() - training.began > self.timeout
            if late and training.kill_reason is None:
                training.kill_reason = f"{TimedOut.reason}: more than {self.timeout:g} s"
            if training.kill_reason or self.stopped or training.candidate in self.dismissed:
                _kill(training)

    def fail(self, error: Exception) -> None:
        """Stop the search because of an error of the search itself, which the driver raises in the end."""
        self.error = self.error or error
        self.stopped = self.stopped or str(error)

    def _release(self, trial: Trial) -> ActiveTraining:
        """Free the slots of a training that has ended."""
        training = self.trainings.pop(trial.trial_id)
        self.placements.release(training.candidate)
        return training

    def _let_go(self, candidate: Candidate) -> bool:
        """Dismiss a candidate whose trial a person has ended; return False if nobody has."""
        if candidate not in self.dismissed:
            return False
        self.dismissed.remove(candidate)
        self.session.dismiss(candidate)
        return True

    def _lost(self, training: ActiveTraining, detail: str, busy: float) -> None:
        """Retry a candidate whose process died, maybe by no fault of its own; after `retries` deaths it has failed."""
        candidate = training.candidate
        candidate.losses += 1
        if candidate.losses < self.retries:
            self._retry(candidate, f"{Lost.reason}: {detail}")
        else:
            self._failed(training, f"{Lost.reason} {candidate.losses} times: {detail}", busy)

    def _retry(self, candidate: Candidate, reason: str) -> None:
        """Let a candidate wait for the next free slot; its epochs so far do not count."""
        self.placements.waiting.insert(0, candidate)
        for observer in self.session.observers:
            observer.retried(candidate, reason)

    def _failed(self, training: ActiveTraining, reason: str, busy: float) -> None:
        self.session.tell(training.candidate, TrialOutcome(training.curve, failure=reason, measured={"busy": busy}))

    def _out_of_memory(
        self, training: ActiveTraining, message: str, busy: float, gpu_memory: int | None = None
    ) -> None:
        """Retry a candidate alone on a device, if it shared one; otherwise it has failed.

        message     what the allocator or Ray said
        gpu_memory  the bytes of the GPU that it ran on, if it is known
        """
        candidate, device = training.candidate, self.machine.device
        if candidate.slots < device.slots:
            candidate.slots = device.slots
            self._retry(candidate, f"{OutOfMemory.reason}, alone now: {message}")
            return
        kind, memory = "GPU" if self.machine.gpu else "node", device.memory or gpu_memory
        alone = f"alone on a {kind}" + (f" with {memory:,} bytes" if memory else "")
        reason = f"{OutOfMemory.reason}: predicted {candidate.predicted.get('memory', 0):,} bytes, {alone}: {message}"
        self._failed(training, reason, busy)


def _kill(training: ActiveTraining) -> None:
    actor = actor_of(training.trial) if training.trial else None
    if actor is not None:
        ray.kill(actor)


def _weights(trial: Trial) -> bytes | None:
    """Return the weights of the candidate that the process of a trial has just finished.

    The process holds them until it takes the next candidate. Raises RunError if it died.
    """
    try:
        content: bytes | None = ray.get(actor_of(trial).weights.remote(), timeout=WEIGHTS_S)
    except RayError as error:
        raise RunError(f"the weights of a leader are lost: {' '.join(str(error).split())[:200]}") from error
    return content
