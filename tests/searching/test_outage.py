"""A session whose storage is locked or stopped: it goes on training, and no finished result is trained again."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.searching.driver import search
from nas.searching.observer import SearchObserver
from nas.searching.session import Session
from nas.study import Run, outage, storage
from nas.study.attributes import KEY, recorded
from tests.helpers import scripted
from tests.helpers.postgresql import PASSWORD, PostgresServer
from tests.helpers.sessions import drive, trained
from tests.helpers.storages import failing, locked

TRIALS = 12


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(outage, "SAY_S", 0.0)
    monkeypatch.setattr("nas.searching.session.CREATED_S", 0.01)
    monkeypatch.setattr("nas.searching.waiting.POLL_S", 0.0)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setitem(storage.CONNECTIONS["sqlite"], "timeout", 0.05)


class Listener(SearchObserver):
    def __init__(self) -> None:
        self.said: list[str] = []

    def storage_went(self, reason: str, since: datetime) -> None:
        assert since <= datetime.now()
        self.said.append(reason)

    def storage_came_back(self, seconds: float) -> None:
        self.said.append("again")


@pytest.fixture(params=["sqlite", "postgresql"])
def away(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Run, Callable[[], None], Callable[[], None]]]:
    """A run, and functions that take its storage away and bring it back."""
    if request.param == "sqlite":
        run = Run.create(scripted.space(), "run", tmp_path)
        lock = locked(run.path / "study.db")
        yield run, lock.__enter__, lambda: lock.__exit__(None, None, None) and None
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    run = Run.create(scripted.space(), "run", tmp_path, request.getfixturevalue("postgresql"))
    try:
        yield run, server.stop, server.start
    finally:
        if not server.runs:
            server.start()


Away = tuple[Run, Callable[[], None], Callable[[], None]]


def is_true(run: Run, count: int = TRIALS) -> None:
    """Whether every trial is recorded once, as it ended."""
    trials = run.study.get_trials()
    assert Counter(trial.state.name for trial in trials) == {"COMPLETE": count}
    assert len({recorded(trial)[KEY] for trial in trials}) == count
    assert all(trial.values for trial in trials)


def test_a_search_goes_on_while_its_storage_is_away(away: Away) -> None:
    run, take, bring = away
    session = Session(run, scripted.price, TRIALS)
    listener = Listener()
    session.observers = (listener,)
    drive(session, 3)
    begun = session.ask()
    assert begun is not None
    session.writer.flush()
    take()
    done = 0
    session.tell(begun, trained(begun))
    while done < 5:  # none of these has a trial yet
        candidate = session.ask()
        assert candidate is not None
        session.report(candidate, {"epoch": 1, "accuracy": 0.5})
        session.tell(candidate, trained(candidate))
        done += 1
    assert not session.is_over
    deadline = time.monotonic() + 20
    while not listener.said:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    bring()
    drive(session)
    session.close()
    assert len(listener.said) == 2 and listener.said[1] == "again"
    is_true(run)
    assert session.scores.settled.best == session.run.standing().best  # those that came late are ranked


def test_what_was_finished_is_not_trained_again_after_an_outage_without_end(away: Away) -> None:
    run, take, bring = away
    session = Session(run, scripted.price, TRIALS, storage_timeout=0.5)
    drive(session, 2)
    running, done = [session.ask(), session.ask()], []
    session.writer.flush()
    take()
    with pytest.raises(RunError, match="could not be written for"):
        while True:
            candidate = running.pop() if running else session.ask()
            assert candidate is not None
            done.append(candidate.topology.key)
            session.tell(candidate, trained(candidate), lambda: b"weights")
    with pytest.raises(RunError, match=rf"; {len(done)} results are in .*jsonl, which --resume writes first"):
        session.close()
    bring()
    again = Session(Run.open("run", run.path.parent), scripted.price, TRIALS)
    assert (again.replayed, again.finished) == (len(done), 2 + len(done))
    assert not {candidate.topology.key for candidate in drive(again)} & set(done)
    again.close()
    is_true(run)
    assert {int(path.stem) for path in run.weights_folder.iterdir()} & set(range(2, TRIALS))


def test_ctrl_c_during_an_outage_leaves_a_journal_at_once(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "GRACE_S", 0.0)
    run, take, bring = away
    session = Session(run, scripted.price, TRIALS)
    candidate = session.ask()
    assert candidate is not None
    session.writer.flush()
    take()
    session.tell(candidate, trained(candidate))
    session.ask()
    session.writer.outage.hurry.set()
    with pytest.raises(RunError, match="1 result is in"):  # long before ten minutes are over
        session.close()
    bring()
    again = Session(Run.open("run", run.path.parent), scripted.price, TRIALS)
    assert again.finished == 1
    drive(again)
    again.close()
    is_true(run)


def test_a_search_of_which_a_write_breaks_is_recorded_truly(tmp_path: Path) -> None:
    for at, arrives in itertools.product(range(1, 7), (False, True)):  # three trials begin and end
        run = Run.create(scripted.space(), f"run{at}{arrives}", tmp_path)
        session = Session(run, scripted.price, 3)
        with failing(run.storage, at, arrives=arrives) as called:
            drive(session)
            session.close()
        assert len(called) > at
        is_true(run, 3)


def test_the_time_is_checked_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--storage-timeout must be a time such as 90s, .*, but got 'never'"):
        search(scripted.space(), root=tmp_path, storage_timeout="never", quiet=True)
    assert list(tmp_path.iterdir()) == []
