"""Outages of real storages: a locked file, a server that is stopped and started again."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial

from nas.errors import RunError
from nas.study import Run, outage, storage
from nas.study.attributes import CURVE
from nas.study.outage import Outage, StorageAway
from nas.study.storage import open_storage
from nas.study.writer import StudyWriter
from tests.helpers import scripted
from tests.helpers.postgresql import PostgresServer
from tests.helpers.storages import SomeRecord, locked


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(outage, "SAY_S", 0.0)
    monkeypatch.setitem(storage.CONNECTIONS["sqlite"], "timeout", 0.05)


def heard(writer: StudyWriter) -> list[str]:
    """Return a list to which the writer's outages are added."""
    said: list[str] = []
    writer.outage.began = lambda reason, since: said.append(reason)
    writer.outage.ended = lambda seconds: said.append("again")
    return said


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    run = Run.create(scripted.space(), "run", tmp_path)
    writer = StudyWriter(run)
    said = heard(writer)
    with locked(run.path / "study.db"):
        handles = [writer.add(create_trial(state=TrialState.RUNNING)) for _ in range(3)]
        for handle in handles:
            writer.finish(handle, TrialState.COMPLETE, {CURVE: []}, [0.5, 1.0])
        until(lambda: bool(said))
        assert writer.is_away and not handles[0].done()  # whoever trains does not wait
    writer.flush()
    assert said == ["database is locked", "again"]
    writer.close()
    assert [trial.state for trial in run.study.get_trials()] == [TrialState.COMPLETE] * 3


def test_a_server_may_be_stopped_and_started(postgresql: str, postgres_server: PostgresServer, tmp_path: Path) -> None:
    record = SomeRecord(open_storage(postgresql), "study", tmp_path)
    writer = StudyWriter(record)
    said = heard(writer)
    before = writer.add(create_trial(state=TrialState.RUNNING))
    writer.flush()
    postgres_server.stop()
    try:
        during = writer.add(create_trial(state=TrialState.RUNNING))
        for handle in (before, during):
            writer.finish(handle, TrialState.COMPLETE, {CURVE: []}, [0.5, 1.0])
        with pytest.raises(StorageAway):
            writer.trials()
        until(lambda: bool(said))
        assert writer.is_away and not during.done()
    finally:
        postgres_server.start()
    writer.close()
    assert len(said) == 2 and said[1] == "again"
    assert [trial.state for trial in record.trials] == [TrialState.COMPLETE] * 2


def test_a_lost_connection_of_the_pool_is_not_noticed(
    postgresql: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    record = SomeRecord(open_storage(postgresql), "study", tmp_path)
    assert record.trials == []
    postgres_server.stop()
    postgres_server.start()
    assert record.trials == []


def test_an_outage_that_takes_too_long_ends(tmp_path: Path) -> None:
    run = Run.create(scripted.space(), "run", tmp_path)
    writer = StudyWriter(run, timeout=0.2)
    with locked(run.path / "study.db"):
        handle = writer.add(create_trial(state=TrialState.RUNNING))
        writer.keep_weights(handle, b"weights")
        writer.finish(handle, TrialState.COMPLETE, {CURVE: []}, [0.5, 1.0])
        with pytest.raises(RunError, match=r"could not be written for \d+ s \(database is locked\)$"):
            writer.flush()
        with pytest.raises(RunError, match=r"is locked\); 1 result is in .*/journal/.*, which --resume writes"):
            writer.close()
    assert run.study.get_trials() == []
    again = StudyWriter(run)
    assert again.replay() == 1
    again.close()
    [trial] = run.study.get_trials()
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.5, 1.0])
    assert (run.weights_folder / "0.safetensors").read_bytes() == b"weights"
    assert not list(run.journal_folder.iterdir())


def test_whoever_stops_the_search_does_not_wait_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "GRACE_S", 0.0)
    run = Run.create(scripted.space(), "run", tmp_path)
    writer = StudyWriter(run)
    said = heard(writer)
    with locked(run.path / "study.db"):
        writer.finish(writer.add(create_trial(state=TrialState.RUNNING)), TrialState.FAIL, {CURVE: []})
        until(lambda: bool(said))
        writer.outage.hurry.set()
        with pytest.raises(RunError, match="1 result is in"):
            writer.close()


def raised(error: Exception) -> Callable[[bool], None]:
    def act(again: bool) -> None:
        if not again:
            raise error

    return act


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_waited_for(number: int) -> None:
    Outage().outlast(raised(OSError(number, "no space")))


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), ValueError("no"), RunError("no")])
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error), match="no"):
        Outage().outlast(raised(error))


def test_a_full_database_is_away_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    opened = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    record = SomeRecord(opened, "study", tmp_path)
    with opened.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    def limited(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    from sqlalchemy import event

    event.listen(opened.engine, "connect", limited)
    opened.engine.dispose()
    with pytest.raises(StorageAway, match="database or disk is full"):
        for _ in range(100):
            opened.create_new_trial(1, create_trial(state=TrialState.RUNNING, user_attrs={"x": "y" * 1000}))
    event.remove(opened.engine, "connect", limited)
    with opened.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trial_user_attributes")
    with pytest.raises(Exception, match="exception is raised") as raised:
        opened.set_trial_user_attr(1, "x", "y")
    assert not isinstance(raised.value, StorageAway)
    assert record.study_name == "study"


class Impatient(threading.Event):
    """Notes the pauses, and is set in the tenth."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        if len(self.pauses) == 10:
            self.set()
        return self.is_set()


def test_pauses_grow_and_end_when_a_person_hurries() -> None:
    outage_of_a_minute, person = Outage(), Impatient()
    outage_of_a_minute.hurry = person

    def act(again: bool) -> None:
        if not person.is_set():
            raise StorageAway("locked")

    outage_of_a_minute.outlast(act)
    for place, pause in enumerate(person.pauses):
        full = min(outage.FIRST_PAUSE_S * 2**place, outage.LONGEST_PAUSE_S)
        assert full / 2 <= pause <= full
    assert len(person.pauses) == 10
