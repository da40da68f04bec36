"""Ray Tune ↔ session: Tune asks a Searcher for configurations and tells callbacks what became of them.

Tune's own record is thrown away. What it cannot tell apart (trained to the end or stopped by a scheduler), loses (a
missing metric), or does not know (a candidate that hangs) is told apart, caught and ended here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from nas.errors import OutOfMemory, RunError, TimedOut
from nas.searching.packing import Cards
from nas.searching.proposals import Candidate
from nas.searching.session import Outcome, Session
from nas.searching.slots import Machine
from nas.searching.trainable import Slot

PATIENCE_S = 0.02
NO_MEMORY = "OUT_OF_MEMORY", "running low on memory"  # Ray, where it has killed a process for want of it


@dataclass(eq=False)
class Training:
    """A candidate on a card: since when, what it reported, and, if we ended it, why."""

    candidate: Candidate
    began: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    busy: float = 0.0
    trial: Trial | None = None
    killed: str | None = None


class Unwritten:
    """Tune pickles whatever it is given into its folder, which is thrown away: of this there is nothing to write."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Bridge(Unwritten, Searcher):
    """Asks a session, and starts whom it names as soon as there is room on a card.

    session  asked and told
    place    the cards, and how many slots a candidate takes
    timeout  seconds that a candidate may take
    stop     asked after every event: why everything is to stop now, or None
    """

    def __init__(
        self,
        session: Session,
        place: Machine,
        timeout: float | None = None,
        stop: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.session, self.place, self.timeout, self.stop = session, place, timeout, stop
        self.cards = Cards[Candidate](place.cards)
        self.trainings: dict[str, Training] = {}
        self.stopped: str | None = None
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> Any:
        """{"topology", "seed", "slots"} of the next candidate; None for "not now"."""
        if self.stopped is not None:
            return Searcher.FINISHED
        try:
            candidate = self._next() if len(self.trainings) < self.place.most else None
        except Exception as error:  # noqa: BLE001  # raised again by the driver, once Tune has stopped
            self.fail(error)
            return Searcher.FINISHED
        if candidate is None:
            return None if self.trainings else Searcher.FINISHED
        self.trainings[trial_id] = Training(candidate)
        topology = json.dumps(candidate.topology.to_dict())
        return {"topology": topology, "seed": candidate.seed, "slots": candidate.slots}

    def _next(self) -> Candidate | None:
        """Who is to be trained now: the first that waits and finds room, else somebody new."""
        candidate = self.cards.admit()
        while candidate is None and self.cards.has_room():
            # a slot is free: Tune may wait a moment, but not longer than the others can do without it
            asked = self.session.ask(PATIENCE_S if self.trainings else None)
            if asked is None:
                break
            asked.slots = self.place.card.size(asked.predicted.get("memory"))
            self.cards.waiting.append(asked)
            candidate = self.cards.admit()
        return candidate

    def candidate(self, trial_id: str) -> Candidate:
        """Whom a trial of Tune trains."""
        return self.trainings[trial_id].candidate

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Told to the callback as well, which knows more."""

    def save(self, checkpoint_path: str) -> None:
        """The study is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """The study is the record."""

    # ------------------------------------------------------------------------------------------ what the callback hears

    def began(self, trial: Trial) -> None:
        training = self.trainings[trial.trial_id]
        training.trial, training.began = trial, time.monotonic()

    def stepped(self, trial: Trial, result: dict[str, Any]) -> None:
        training = self.trainings[trial.trial_id]
        self.cards.seen(training.candidate, result["card"])
        training.busy += result["busy"]
        if result["record"] is not None:
            training.curve.append(result["record"])
            for watcher in self.session.watchers:
                watcher.epoch(training.candidate, result["record"], result["busy"])

    def ended(self, trial: Trial) -> None:
        """It returned a last result, or a scheduler stopped it."""
        training, last = self.trainings[trial.trial_id], trial.last_result
        if last["end"] == Slot.BROKEN:
            raise RunError(f"no candidate can be trained: {last['reason']}")
        self._left(trial)
        if last["end"] == Slot.STARVED:
            self._starved(training, last["reason"], training.busy, last["holds"])
            return
        outcome = Outcome(
            curve=training.curve,
            whole=last["end"] == Slot.WHOLE,
            failed=last.get("reason") if last["end"] == Slot.FAILED else None,
            measured={"busy": training.busy} | last.get("measured", {}),
        )
        self.session.tell(training.candidate, outcome, lambda: _weights(trial))

    def crashed(self, trial: Trial) -> None:
        """Its process died, or never came to be."""
        if self.stopped is not None:
            return  # the session queues it again
        said = Path(trial.error_file).read_text(errors="replace") if trial.error_file else ""
        if "creation task" in said:
            raise RunError(f"no slot can be started: {_last_line(said)}")
        training = self._left(trial)
        busy = time.monotonic() - training.began
        if training.killed is None and any(sign in said for sign in NO_MEMORY):
            self._starved(training, "the machine had none left", busy)
            return
        why = training.killed or _crash(said)
        self.session.tell(training.candidate, Outcome(training.curve, False, why, {"busy": busy}))

    def _left(self, trial: Trial) -> Training:
        """It is on no card any more."""
        training = self.trainings.pop(trial.trial_id)
        self.cards.leave(training.candidate)
        return training

    def _starved(self, training: Training, said: str, busy: float, holds: int | None = None) -> None:
        """It ran out of memory: with a part of a card it is tried once more, alone on one; there it has failed."""
        candidate, card = training.candidate, self.place.card
        if candidate.slots < card.slots:
            candidate.slots = card.slots
            self.cards.waiting.insert(0, candidate)
            for watcher in self.session.watchers:
                watcher.again(candidate, f"{OutOfMemory.reason}: {said}")
            return
        kind, holds = "GPU" if self.place.gpu else "node", card.memory or holds
        alone = f"alone on a {kind}" + (f" that holds {holds:,}" if holds else "")
        why = f"{OutOfMemory.reason}: predicted {candidate.predicted.get('memory', 0):,} bytes, {alone}: {said}"
        self.session.tell(candidate, Outcome(training.curve, False, why, {"busy": busy}))

    def look(self) -> None:
        """After every event, ten times a second at least: has somebody asked to stop, does a candidate hang?"""
        if self.stopped is None:
            self.stopped = self.stop()
        for training in self.trainings.values():
            late = self.timeout is not None and training.began and time.monotonic() - training.began > self.timeout
            if late and training.killed is None:
                training.killed = f"{TimedOut.reason}: more than {self.timeout:g} s"
            if training.killed or self.stopped:
                _kill(training)

    def fail(self, error: Exception) -> None:
        """Something is wrong with the search itself: it ends, and the driver raises the error."""
        self.error = self.error or error
        self.stopped = self.stopped or str(error)


class Halt(Unwritten, Stopper):
    """Stops Tune when the bridge has stopped."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.bridge.stopped is not None


class Events(Unwritten, Callback):
    """Tune's events, passed on to the bridge. Tune would take an error in here for one of the candidate's."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._pass_on(self.bridge.began, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self._pass_on(self.bridge.stepped, trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._pass_on(self.bridge.ended, trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._pass_on(self.bridge.crashed, trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._pass_on(self.bridge.look)

    def _pass_on(self, hear: Callable[..., None], *what: Any) -> None:
        try:
            hear(*what)
        except Exception as error:  # noqa: BLE001  # raised again by the driver, once Tune has stopped
            self.bridge.fail(error)


def _kill(training: Training) -> None:
    actor = training.trial.temporary_state.ray_actor if training.trial else None
    if actor is not None:
        ray.kill(actor)


def _weights(trial: Trial) -> bytes | None:
    """Of the candidate that the actor has just finished: it holds them until it takes up the next one."""
    actor: Any = trial.temporary_state.ray_actor
    try:
        content: bytes | None = ray.get(actor.weights.remote(), timeout=300)
    except RayError as error:
        raise RunError(f"the weights of a leader are lost: {' '.join(str(error).split())[:200]}") from error
    return content


def _crash(said: str) -> str:
    """What the record says of a process that died under a candidate."""
    detail = " ".join(said.rpartition("Worker exit detail:")[2].partition("Some common causes")[0].split())
    return f"error: its process died: {detail[:200]}"


def _last_line(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "?")[:300]
