"""When checkpoints are made and what becomes of them, without Ray; tests of searches are in test_driver.py."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState
from ray.exceptions import ActorDiedError

from nas.searching import checkpointing
from nas.searching.active_training import ActiveTraining
from nas.searching.candidate import Candidate
from nas.searching.checkpointing import EVERY_S, PACE, Checkpointing
from nas.searching.processes import Process
from nas.study import Run
from nas.study.checkpoints import Checkpoint
from nas.study.writer import StudyWriter, TrialHandle, resolved
from tests.helpers import scripted

EPOCHS = 10
ANY = next(scripted.space().enumerate())


class Clock:
    """Stands for the module time, and for Ray: a checkpoint takes `takes` seconds."""

    def __init__(self) -> None:
        self.now, self.takes = 100.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def get(self, made: Any, timeout: float) -> Any:
        self.now += self.takes
        if isinstance(made, Exception):
            raise made
        return made


class Actor:
    """Stands for a process that trains; it notes the epochs after which it made a checkpoint."""

    def __init__(self, answer: Any = None) -> None:
        self.epoch, self.made, self.answer = 0, list[int](), answer
        self.checkpoint = SimpleNamespace(remote=self._make)

    def _make(self) -> Any:
        self.made.append(self.epoch)
        return self.answer or (self.epoch, b"after %d" % self.epoch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpointing, "time", clock)
    monkeypatch.setattr(checkpointing, "ray", clock)
    return clock


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[StudyWriter]:
    writer = StudyWriter(Run.create(scripted.space(), "run", tmp_path))
    yield writer
    writer.close()


@pytest.fixture
def checkpoints(writer: StudyWriter, clock: Clock) -> Iterator[Checkpointing]:
    checkpoints = Checkpointing(writer, EPOCHS)
    yield checkpoints
    checkpoints.close()


def candidate(number: int = 3) -> Candidate:
    return Candidate(ANY, 0, handle=resolved(TrialHandle(number, number)))


def train(
    checkpoints: Checkpointing, who: Candidate, clock: Clock, seconds: float, actor: Actor, epochs: int = EPOCHS
) -> None:
    """Train epochs of so many seconds each; a checkpoint that is asked for is there before the next one begins."""
    checkpoints.began(who)
    curve = []
    for epoch in range(1, epochs + 1):
        clock.now += seconds
        curve.append({"epoch": epoch, "accuracy": epoch / 10})
        actor.epoch = epoch
        checkpoints.epoch_ended(who, actor, curve, seconds * epoch)
        done(checkpoints)


def done(checkpoints: Checkpointing) -> None:
    checkpoints._thread.submit(int).result()


@pytest.mark.parametrize(
    ("seconds", "takes", "expected"),
    [
        (EVERY_S / 20, 0, []),  # the training is shorter than the interval
        (EVERY_S / 4, 0, [4, 8]),
        (EVERY_S * 2, 0, [*range(1, EPOCHS)]),  # not after the last epoch
        (EVERY_S, EVERY_S / PACE * 1.5, [1, 3, 5, 7, 9]),  # it takes long to make one
        (EVERY_S, EVERY_S / PACE * 2.5, [1, 4, 7]),
    ],
)
def test_it_is_made_at_times_that_cost_a_twentieth_at_most(
    checkpoints: Checkpointing, clock: Clock, seconds: float, takes: float, expected: list[int]
) -> None:
    clock.takes, actor = takes, Actor()
    train(checkpoints, candidate(), clock, seconds, actor)
    assert actor.made == expected
    assert len(expected) * takes <= seconds * EPOCHS / PACE


def test_the_last_one_is_found_until_the_training_ends(checkpoints: Checkpointing, clock: Clock) -> None:
    who = candidate()
    assert checkpoints.find(who) is None
    train(checkpoints, who, clock, EVERY_S, Actor(), epochs=3)
    curve = [{"epoch": epoch, "accuracy": epoch / 10} for epoch in (1, 2, 3)]
    assert checkpoints.find(who) == Checkpoint(curve, 3.0 * EVERY_S, b"after 3")
    checkpoints.ended(who)
    done(checkpoints)
    assert checkpoints.find(who) is None and not checkpoints.folder.path.exists()


def test_a_new_trial_has_none(checkpoints: Checkpointing, clock: Clock) -> None:
    """It has no number yet, and the search does not wait for it."""
    for handle in (Future[TrialHandle](), failed := Future[TrialHandle]()):
        who, actor = Candidate(ANY, 0, handle=handle), Actor()
        if handle is failed:
            failed.set_exception(OSError("the storage is away"))
        assert checkpoints.find(who) is None
        train(checkpoints, who, clock, EVERY_S, actor)
        checkpoints.ended(who)
        assert actor.made == []


@pytest.mark.parametrize("answer", [ActorDiedError(), (2, b"of another epoch"), (0, b"of none")])
def test_what_is_no_checkpoint_of_the_epoch_is_not_kept(
    checkpoints: Checkpointing, clock: Clock, answer: object
) -> None:
    who, actor = candidate(), Actor(answer)
    train(checkpoints, who, clock, EVERY_S, actor, epochs=1)
    assert actor.made == [1] and checkpoints.find(who) is None and checkpoints.new_trouble() is None


def test_a_full_disk_ends_them_and_is_told_once(
    checkpoints: Checkpointing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    actor = Actor()
    train(checkpoints, candidate(), clock, EVERY_S, actor)
    assert actor.made == [1]
    assert [checkpoints.new_trouble() for _ in range(2)] == [f"the disk of {checkpoints.folder.path} is full", None]


def test_closing_waits_for_no_process(writer: StudyWriter, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """… and what Tune reports afterwards has no effect."""
    checkpoints, asked, over, actor = Checkpointing(writer, EPOCHS), threading.Event(), threading.Event(), Actor()

    def get(made: Any, timeout: float) -> Any:
        asked.set()
        over.wait()
        return made

    monkeypatch.setattr(clock, "get", get)
    first, second = candidate(3), candidate(4)
    for who in (first, second):
        checkpoints.began(who)
    clock.now += EVERY_S
    checkpoints.epoch_ended(first, actor, [{"epoch": 1}], 1.0)
    asked.wait()
    checkpoints.close()
    checkpoints.epoch_ended(second, actor, [{"epoch": 1}], 1.0)
    checkpoints.ended(first)
    over.set()
    assert not checkpoints.folder.path.exists()


def test_a_session_begins_with_those_of_unfinished_trials(writer: StudyWriter, clock: Clock) -> None:
    states = TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL
    for state in states:
        made = Candidate(ANY, 0).trial(TrialState.RUNNING)
        handle = writer.add(made)
        if state.is_finished():
            writer.finish(handle, state, {}, [0.5, 1.0] if state == TrialState.COMPLETE else None)
        elif state == TrialState.WAITING:
            writer.requeue([handle.result()])
    writer.flush()
    first = Checkpointing(writer, EPOCHS)
    for number in range(5):
        first.folder.write(number, Checkpoint([{"epoch": 1}], 1.0, b""))
    Checkpointing(writer, EPOCHS)
    assert {path.stem for path in first.folder.path.iterdir()} == {"1", "2"}


# ------------------------------------------------------------------------------------------------- going on from one


def active(epochs: int) -> ActiveTraining:
    curve = [{"epoch": epoch} for epoch in range(1, epochs + 1)]
    return ActiveTraining(candidate(), "node", Process(0, "node", 1), Checkpoint(curve, 7.0, b""))


def test_a_training_goes_on_with_the_curve_of_its_checkpoint() -> None:
    training = active(2)
    assert (len(training.curve), training.busy, len(training.candidate.trained)) == (2, 7.0, 2)
    assert training.goes_on({"epoch": 3})
    assert not training.goes_on({"epoch": 4})  # a later record says nothing of it
    assert (len(training.curve), training.busy) == (2, 7.0)


def test_a_training_that_begins_in_spite_of_its_checkpoint_has_an_empty_curve() -> None:
    training = active(2)
    assert not training.goes_on({"epoch": 1})
    assert (training.curve, training.busy) == ([], 0.0)


def test_a_candidate_that_begins_again_has_no_epochs() -> None:
    who = active(2).candidate
    ActiveTraining(who, "node", Process(0, "node", 1))
    assert who.trained == ()
