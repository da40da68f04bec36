"""A session as a Searcher of Ray Tune: Tune asks it for configurations, and its callback reports what happened.

Tune's own record is thrown away. Tune cannot tell a training that reached its end from one that a scheduler stopped,
it has no state for a missing metric, and it does not notice a candidate that hangs: this module does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from nas.errors import Lost, OutOfMemory, RunError, TimedOut, message_of
from nas.searching.active_training import ActiveTraining
from nas.searching.callbacks import NotPickled
from nas.searching.candidate import Candidate
from nas.searching.checkpointing import Checkpointing
from nas.searching.cluster import Cluster
from nas.searching.compat import Crash, actor_of, crash_of
from nas.searching.nodes import RayLost
from nas.searching.observer import tell
from nas.searching.outcome import TrialOutcome
from nas.searching.processes import Processes
from nas.searching.trainable import CandidateTrainable
from nas.searching.training_session import TrainingSession

PATIENCE_S = 0.02  # seconds for which Tune waits for a proposal while other candidates are trained
WAIT_S = 0.5  # seconds between two looks whether other processes have finished the search
WEIGHTS_S = 300  # seconds for the weights of a leader to arrive


class SessionSearcher(NotPickled, Searcher):
    """Suggests the candidates of a session, each as soon as a device has room for it.

    session      is asked and told
    cluster      the devices
    timeout      seconds that the training of a candidate may take; None for no limit
    retries      how often a candidate is trained whose process dies
    stop_reason  is called after every event; returns why the search stops now, or None

    checkpoints  of the trainings, from which they go on if they have to be done again
    trainings    the candidates that Tune trains, by the id of their trial in Tune
    dismissed    candidates whose trial a person has ended: they are killed at the next check
    stopped      why the search was stopped; None if it was not
    error        the error that stopped it
    left         whether no more events of Tune are taken: the session is about to close
    """

    def __init__(
        self,
        session: TrainingSession,
        cluster: Cluster,
        timeout: float | None = None,
        stop_reason: Callable[[], str | None] = lambda: None,
        retries: int = 1,
    ) -> None:
        super().__init__()
        self.retries = retries
        self.session, self.cluster, self.timeout, self.stop_reason = session, cluster, timeout, stop_reason
        self.checkpoints = Checkpointing(session.writer, session.space.epochs)
        self.trainings: dict[str, ActiveTraining] = {}
        self.dismissed: set[Candidate] = set()
        self.stopped: str | None = None
        self.error: Exception | None = None
        self.left = False
        self.processes = Processes()

    # ------------------------------------------------------------------------------------------ the Searcher of Tune

    def suggest(self, trial_id: str) -> Any:
        """Return {topology, seed, slots, node, process} of the next candidate; None if there is none at the moment."""
        try:
            if not self.trainings:
                self.check()  # Tune reports no event while nothing is trained
            if self.stopped is not None or self.left:
                return Searcher.FINISHED
            candidate = self._next() if len(self.trainings) < self.cluster.machine.max_candidates else None
        except Exception as error:  # noqa: BLE001  # raised again by the driver, once Tune has stopped
            self.fail(error)
            return Searcher.FINISHED
        if candidate is None:
            busy = self.trainings or self.cluster.placements.waiting or not self.cluster.machine.devices
            return None if busy or self._waits_for_others() else Searcher.FINISHED
        placements, slots = self.cluster.placements, candidate.slots
        node, device = placements.node(candidate), placements.device(candidate)
        process = self.processes.take(device, slots, placements.capacity[device])
        self.trainings[trial_id] = ActiveTraining(candidate, node, process, self.checkpoints.find(candidate))
        given = {"topology": json.dumps(candidate.topology.to_dict()), "seed": candidate.seed}
        return given | {"slots": slots, "node": node, "process": process.number}

    def _waits_for_others(self) -> bool:
        """Return whether other processes train what may be left to this one."""
        waits = self.session.waits
        if waits:
            time.sleep(WAIT_S)  # Tune asks again at once
        return waits

    def _next(self) -> Candidate | None:
        """Return the first waiting candidate that has room now, else a new one that has room."""
        placements = self.cluster.placements
        candidate = placements.admit()
        while candidate is None and placements.has_room():
            # a slot is free: Tune may wait for a moment, but the running candidates need it soon
            asked = self.session.ask(PATIENCE_S if self.trainings else None)
            if asked is None:
                break
            asked.slots = self.cluster.machine.device.size(asked.predicted.get("memory"))
            placements.waiting.append(asked)
            candidate = placements.admit()
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

    def trial_added(self, controller: Any, trial: Trial) -> None:
        """Note the trial that Tune has made for a candidate. The scheduler calls this."""
        training = self.trainings[trial.trial_id]
        training.trial = trial
        self.processes.trial_added(controller, trial, training.process)

    # ------------------------------------------------------------------------------------ events, of SessionCallback

    def trial_started(self, trial: Trial) -> None:
        """Note when a training began, and let it go on from its checkpoint."""
        training = self.trainings[trial.trial_id]
        training.began = time.monotonic() - training.busy
        self.checkpoints.began(training.candidate)
        if training.checkpoint is not None:
            actor_of(trial).continue_from.remote(training.checkpoint.content)

    def epoch_ended(self, trial: Trial, result: dict[str, Any]) -> None:
        """Take the result of a step (see CandidateTrainable)."""
        training = self.trainings[trial.trial_id]
        self.cluster.placements.observe(training.candidate, result["device"])
        self.processes.move(training.process, self.cluster.placements.device(training.candidate))
        training.place = result["place"]
        if result["end"] != CandidateTrainable.NO_EVALUATOR:
            self.cluster.works(training.node)
        if result["record"] is None:
            training.busy += result["busy"]
        else:
            self._add(training, result["record"], result["busy"])
            if result["end"] is None:
                self.checkpoints.epoch_ended(training.candidate, actor_of(trial), training.curve, training.busy)

    def _add(self, training: ActiveTraining, record: dict[str, Any], busy: float) -> None:
        """Add the record of an epoch to that of a training."""
        candidate, observers = training.candidate, self.session.observers
        if training.goes_on(record):
            tell(observers, lambda observer: observer.continued(candidate, training.curve))
        training.curve.append(record)
        training.busy += busy
        self.session.report(candidate, record)
        tell(observers, lambda observer: observer.epoch_ended(candidate, record, busy))

    def trial_ended(self, trial: Trial) -> None:
        """Tell the session how a training ended: with its last result, or because a scheduler stopped it."""
        last, reported = trial.last_result, "end" in trial.last_result  # Tune fills it in where nothing was reported
        if self.stopped is not None and not reported:
            return  # the session queues the trial again
        training = self._release(trial, lives=reported)
        if self._let_go(training.candidate):
            return
        if not reported:
            self._go_elsewhere(training, "its node is gone")
            return
        if last["end"] == CandidateTrainable.NO_EVALUATOR:
            self._announce(self.cluster.refuse(training.node, last["reason"]))
            self._go_elsewhere(training, f"{self.cluster.host(training.node)} cannot train")
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
        self._tell(training, outcome, lambda: self._weights(trial, training.candidate))

    def trial_crashed(self, trial: Trial) -> None:
        """Tell the session that the process of a training died, or could not be started."""
        if self.stopped is not None:
            return  # the session queues the trial again
        crash, training = crash_of(trial), self._release(trial, lives=False)
        if self._let_go(training.candidate):
            return
        if training.kill_reason is None and not training.began and not crash.out_of_memory:
            self._died_early(training, crash)
            return
        busy = time.monotonic() - training.began
        if training.kill_reason is not None:
            self._failed(training, training.kill_reason, busy)
        elif crash.out_of_memory:
            self._out_of_memory(training, "the machine had none left", busy)
        else:
            self._lost(training, crash.detail[:200], busy)

    def check(self) -> None:
        """Follow the nodes; kill candidates that take too long, and all candidates if the search is to stop.

        Tune calls this after every event, at least ten times a second. Raises RayLost if Ray cannot be used any more.
        """
        self._follow_nodes()
        if (trouble := self.checkpoints.new_trouble()) is not None:
            tell(self.session.observers, lambda observer: observer.checkpoints_stopped(trouble))
        self.must_stop()
        if self.cluster.lost is not None:
            raise RayLost
        for training in self.trainings.values():
            late = self.timeout is not None and training.began and time.monotonic() - training.began > self.timeout
            if late and training.kill_reason is None:
                training.kill_reason = f"{TimedOut.reason}: more than {self.timeout:g} s"
            if training.kill_reason or self.stopped or training.candidate in self.dismissed:
                training.kill()

    def must_stop(self) -> bool:
        """Return whether the search is to stop, also while Tune does not call: then Ray may be lost.

        A signal that a person or a batch system sends to every process ends Ray as well: that is no error.
        """
        self.stopped = self.stopped or self.stop_reason()
        if self.cluster.lost is not None and self.stopped is None:
            self.fail(RunError(self.cluster.lost))
        return self.stopped is not None

    def fail(self, error: Exception) -> None:
        """Stop the search because of an error of the search itself, which the driver raises in the end."""
        self.error = self.error or error
        self.stopped = self.stopped or str(error)

    def _follow_nodes(self) -> None:
        """Take the nodes that there are now. What was to start on one that is gone goes elsewhere."""
        for line in self.cluster.follow():
            self._announce(line)
        for training in tuple(self.trainings.values()):
            if not training.began and not self.cluster.is_alive(training.node) and training.trial is not None:
                self.processes.stop(training.trial)
        if self.stopped is None and (dead_end := self.cluster.dead_end) is not None:
            self.fail(RunError(dead_end))

    def _announce(self, message: str) -> None:
        tell(self.session.observers, lambda observer: observer.machines_changed(self.cluster.machine.slots, message))

    def _release(self, trial: Trial, *, lives: bool) -> ActiveTraining:
        """Free the slots of a training that has ended; its process lives on, or is dead."""
        training = self.trainings.pop(trial.trial_id)
        self.cluster.placements.release(training.candidate)
        (self.processes.rest if lives else self.processes.end)(training.process)
        return training

    def _died_early(self, training: ActiveTraining, crash: Crash) -> None:
        """Train a candidate elsewhere whose process died before it trained, or could not be made: it has not failed."""
        if crash.setup_failed:  # the code of the candidates cannot be loaded there
            reason = crash.last_line[:300]
            line: str | None = self.cluster.refuse(training.node, reason)
        else:
            reason = crash.detail[:200]
            line = self.cluster.died_early(training.node, reason)
        if line is not None:
            self._announce(line)
        self._go_elsewhere(training, reason)

    def _go_elsewhere(self, training: ActiveTraining, reason: str) -> None:
        """Let a candidate wait for a slot of another node: it has not begun, so this is not one of its losses."""
        training.candidate.avoid.add(training.node)
        self._retry(training.candidate, reason)

    def _let_go(self, candidate: Candidate) -> bool:
        """Dismiss a candidate whose trial a person has ended; return False if nobody has."""
        if candidate not in self.dismissed:
            return False
        self.dismissed.remove(candidate)
        self.session.dismiss(candidate)
        self.checkpoints.ended(candidate)
        return True

    def _lost(self, training: ActiveTraining, detail: str, busy: float) -> None:
        """Retry a candidate whose process died, maybe by no fault of its own; after `retries` deaths it has failed."""
        candidate = training.candidate
        candidate.losses += 1
        candidate.avoid.add(training.node)
        if candidate.losses < self.retries:
            self._retry(candidate, f"{Lost.reason}: {detail}")
        else:
            self._failed(training, f"{Lost.reason} {candidate.losses} times: {detail}", busy)

    def _retry(self, candidate: Candidate, reason: str) -> None:
        """Let a candidate wait for the next free slot; its epochs after the last checkpoint do not count."""
        self.cluster.placements.waiting.insert(0, candidate)
        tell(self.session.observers, lambda observer: observer.retried(candidate, reason))

    def _failed(self, training: ActiveTraining, reason: str, busy: float) -> None:
        self._tell(training, TrialOutcome(training.curve, failure=reason, measured={"busy": busy}))

    def _tell(
        self, training: ActiveTraining, outcome: TrialOutcome, weights: Callable[[], bytes | None] = lambda: None
    ) -> None:
        self.session.tell(training.candidate, outcome, weights)
        self.checkpoints.ended(training.candidate)

    def _weights(self, trial: Trial, candidate: Candidate) -> bytes | None:
        """Return the weights of a candidate from the process that has just trained it; None if they are lost with it.

        The process holds them until it takes the next candidate.
        """
        try:
            content: bytes | None = ray.get(actor_of(trial).weights.remote(), timeout=WEIGHTS_S)
        except RayError as error:
            lost = "is recorded, but its weights are lost with its process"
            self._announce(f"trial {candidate.number} {lost}: {message_of(error, 200)}")
            return None
        return content

    def _out_of_memory(
        self, training: ActiveTraining, message: str, busy: float, gpu_memory: int | None = None
    ) -> None:
        """Retry a candidate alone on a device, if it shared one; otherwise it has failed.

        message     what the allocator or Ray said
        gpu_memory  the bytes of the GPU that it ran on, if it is known
        """
        candidate, device = training.candidate, self.cluster.machine.device
        largest = min(device.slots, max(self.cluster.machine.devices.values(), default=device.slots))
        if candidate.slots < largest:
            candidate.slots = largest
            self._retry(candidate, f"{OutOfMemory.reason}, alone now: {message}")
            return
        kind, memory = "GPU" if self.cluster.machine.gpu else "node", device.memory or gpu_memory
        alone = f"alone on a {kind}" + (f" with {memory:,} bytes" if memory else "")
        reason = f"{OutOfMemory.reason}: predicted {candidate.predicted.get('memory', 0):,} bytes, {alone}: {message}"
        self._failed(training, reason, busy)
