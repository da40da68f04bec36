"""The thread beside a search: signs of life, and what people ask for in the study."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.searching import watch as module
from nas.searching.cluster import Cluster
from nas.searching.packing import Device
from nas.searching.progress import Progress
from nas.searching.session import Session
from nas.searching.slots import Machine
from nas.searching.watch import Watch
from nas.study.attributes import counts, recorded
from nas.study.outage import StorageAway
from tests.helpers import scripted
from tests.helpers.sessions import drive, trained, trials_of

Make = Callable[..., Session]
CLUSTER = Cluster(Machine(Device(2), 1.0, devices={"node": 2}))


def watched(session: Session) -> tuple[Watch, Any]:
    """Return a watch of the session, and a stand-in for the searcher that it tells."""
    searcher: Any = SimpleNamespace(dismissed=set(), trainings={}, stop_reason=lambda: None, cluster=CLUSTER)
    progress = Progress(session.space, session.trials, session.finished, 2)
    session.observers = (progress,)
    return Watch(session, searcher, progress), searcher


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(module, "PUBLISH_S", 0.05)


def test_a_candidate_whose_trial_a_person_fails_is_let_go_and_does_not_count(session: Make) -> None:
    made = session(trials=4)
    watch, searcher = watched(made)
    first = made.ask()
    assert first is not None
    made.report(first, {"epoch": 1, "accuracy": 0.1})
    made.writer.flush()
    with watch:
        made.run.study.tell(first.number, state=TrialState.FAIL)
        eventually(lambda: first in searcher.dismissed)
        made.dismiss(first)
        drive(made)
    trials = trials_of(made)
    assert [trial.state for trial in trials] == [TrialState.FAIL, *[TrialState.COMPLETE] * 4]
    assert [counts(trial) for trial in trials] == [False, True, True, True, True]
    assert made.run.frame()["reason"][0] == "stopped by a person"
    again = session(resume=True, trials=5)
    assert again.finished == 4
    assert first.topology.key not in {candidate.topology.key for candidate in drive(again)}
    again.run.study.enqueue_trial(again.space.encode(first.topology))
    queued = session(resume=True, trials=6)
    assert first.topology.key in {candidate.topology.key for candidate in drive(queued)}  # now a person wants it


def test_a_person_is_heeded_while_another_trial_waits(session: Make) -> None:
    made = session(trials=4)
    watch, searcher = watched(made)
    made.run.study.ask()  # of another program: RUNNING for ever
    first = made.ask()
    assert first is not None
    made.writer.flush()
    with watch:
        made.run.study.tell(first.number, state=TrialState.PRUNED)
        eventually(lambda: first in searcher.dismissed)
        made.close()  # what a person has ended is not queued again
    assert made.run.trial(first.number).state == TrialState.PRUNED


def test_a_result_that_comes_after_a_person_has_spoken_changes_nothing(session: Make) -> None:
    made = session(trials=2)
    first = made.ask()
    assert first is not None
    made.writer.flush()
    made.run.study.tell(first.number, state=TrialState.FAIL)
    made.report(first, {"epoch": 1, "accuracy": 0.1})
    made.tell(first, trained(first))
    assert trials_of(made)[0].state == TrialState.FAIL
    assert "curve" not in recorded(trials_of(made)[0])


def test_a_storage_that_is_away_for_a_while_is_looked_at_again(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(trials=4)
    watch, searcher = watched(made)
    storage, failed = made.run.storage, []
    read = storage.get_study_user_attrs

    def get_study_user_attrs(study: int) -> dict[str, Any]:
        if len(failed) < 3:
            failed.append(study)
            raise StorageAway("locked")
        return read(study)

    monkeypatch.setattr(storage, "get_study_user_attrs", get_study_user_attrs)
    made.run.study.set_user_attr("stop", True)
    with watch:
        eventually(lambda: searcher.stop_reason() == "stopped by a person")
    assert len(failed) == 3 and watch.error is None


def test_candidates_that_end_by_themselves_are_not_dismissed(session: Make) -> None:
    made = session(trials=12)
    watch, searcher = watched(made)
    with watch:
        drive(made)
        time.sleep(0.3)
    assert not searcher.dismissed


def test_whoever_sets_stop_stops_the_search(session: Make) -> None:
    made = session(trials=4)
    watch, searcher = watched(made)
    with watch:
        assert searcher.stop_reason() is None
        made.run.study.set_user_attr("stop", True)
        eventually(lambda: searcher.stop_reason() == "stopped by a person")


def test_a_sign_of_life_tells_of_the_search_and_how_it_ended(session: Make) -> None:
    made = session(trials=4)
    watch, _ = watched(made)
    with watch:
        drive(made)
        pulse = watch.sign()
        assert pulse.is_alive() and pulse.slots == 2 and pulse.ended is None
        watch.ended = "all trials are finished"
    assert watch.sign().ended == "all trials are finished" and not watch.sign().is_alive()


def test_a_plot_that_cannot_be_drawn_does_not_end_the_search(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(final: bool = False) -> None:
        raise ValueError("no such colour")

    made = session(trials=3)
    watch, searcher = watched(made)
    monkeypatch.setattr(watch.publisher, "publish", broken)
    with watch:
        eventually(lambda: watch.error is not None)
        made.run.study.set_user_attr("stop", True)
        eventually(lambda: searcher.stop_reason() is not None)
    assert watch.error == "ValueError: no such colour"


def test_a_curve_is_in_the_study_while_it_grows(session: Make) -> None:
    made = session(scripted.space(), trials=2)
    candidate = made.ask()
    assert candidate is not None
    made.report(candidate, {"epoch": 1, "accuracy": 0.25})
    made.report(candidate, {"epoch": 2, "accuracy": 0.5})  # half a second has not passed
    made.report(candidate, {"epoch": 3, "accuracy": float("nan")})
    made.report(candidate, {"epoch": 3})
    assert trials_of(made)[0].intermediate_values == {1: 0.25}
    assert made.run.study.directions and len(made.run.study.directions) == 2
