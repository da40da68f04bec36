"""A study that anybody may have damaged: one line says what is wrong, and what is whole is read."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.errors import DamagedRecord, RunError
from nas.study import Run, database
from tests.helpers.recorded_studies import change, execute, record


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with 30 trials; tests damage copies of it."""
    return record(tmp_path_factory.mktemp("whole"), trials=30).path


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(recorded, tmp_path / "base"))


OF_TRIAL_3 = {
    "its state 'EXPLODED' is unknown": "UPDATE trials SET state = 'EXPLODED' WHERE number = 3",
    "a value of it is None, FINITE": "UPDATE trial_values SET value = NULL WHERE trial_id = 4",
    "a value of it is 0.5, ODD": "UPDATE trial_values SET value = 0.5, value_type = 'ODD' WHERE trial_id = 4",
    "but there are 3": "DELETE FROM trial_values WHERE trial_id = 4 AND objective = 1",
    "its attribute nas:outcome is no JSON": (
        "UPDATE trial_system_attributes SET value_json = '{\"metrics\": ' WHERE trial_id = 4 AND key = 'nas:outcome'"
    ),
    "its attribute nas:candidate is no JSON": (
        "UPDATE trial_system_attributes SET value_json = NULL WHERE trial_id = 4 AND key = 'nas:candidate'"
    ),
    "Invalid isoformat string": "UPDATE trials SET datetime_start = 'yesterday' WHERE number = 3",
}


@pytest.mark.parametrize("reason", OF_TRIAL_3)
def test_a_damaged_trial_is_named_and_left_out(run: Path, reason: str) -> None:
    execute(run, OF_TRIAL_3[reason])
    with pytest.warns(DamagedRecord, match="run 'base': trial 3 is damaged and left out") as said:
        frame = Run(run).frame()
    assert reason in str(said[0].message) and "\n" not in str(said[0].message)
    assert set(range(30)) - set(frame["trial"]) == {3}
    with warnings.catch_warnings(), pytest.raises(RunError, match="trial 3 of run 'base' is damaged: "):
        warnings.simplefilter("error")  # it is said once
        Run(run).topology(3)


def test_a_trial_without_a_number_is_named_by_its_identifier(run: Path) -> None:
    execute(run, "UPDATE trials SET number = NULL WHERE number IN (3, 9)")
    with pytest.warns(DamagedRecord, match=r"with the identifier 4 is damaged .*\(its number is None\), and 1 more"):
        assert len(Run(run).reader.records()) == 28


def test_a_distribution_that_is_none_matters_to_who_wants_parameters(run: Path) -> None:
    execute(run, "UPDATE trial_params SET distribution_json = '{}' WHERE trial_id = 10")
    assert len(Run(run).reader.records()) == 30
    with pytest.warns(DamagedRecord, match="trial 9 "):
        assert len(Run(run).reader.trials()) == 29


def test_attributes_of_other_programs_do_not_matter(run: Path) -> None:
    execute(
        run,
        "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (4, 'other', '{nope')",
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (4, 'mine', NULL)",
    )
    assert len(Run(run).frame()) == 30


@pytest.mark.parametrize("value", [None, "good", True, [1], float("nan"), float("inf"), 10**300, 1e300])
def test_a_metric_that_is_no_number_is_missing(run: Path, value: Any) -> None:
    change(run, 3, "nas:outcome", lambda known: known.update(metrics={"accuracy": value}))
    opened = Run(run)
    assert opened.frame()["accuracy"].isna()[3]
    assert opened.winner not in (None, 3)


def remove_table(name: str) -> Callable[[Path], None]:
    return lambda run: execute(run, f"DROP TABLE {name}")


def cut(run: Path) -> None:
    (run / "study.db").write_bytes((run / "study.db").read_bytes()[:50_000])


def make_folder(run: Path) -> None:
    (run / "study.db").unlink()
    (run / "study.db").mkdir()


def make_view(run: Path) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS study_id FROM c"
    execute(run, "ALTER TABLE studies RENAME TO gone", f"CREATE VIEW studies AS {endless}")


BROKEN: dict[str, Callable[[Path], object]] = {
    "no such table: trials": remove_table("trials"),
    "no such table: trial_values": remove_table("trial_values"),
    "no such table: studies": lambda run: (run / "study.db").write_bytes(b""),
    "file is not a database": lambda run: (run / "study.db").write_bytes(b"something else " * 999),
    "malformed": cut,
    "is no file": make_folder,
    "there is no": lambda run: (run / "study.db").unlink(),
    "it has a view": make_view,
    "holds no study 'base'": lambda run: execute(run, "UPDATE studies SET study_name = 'other'"),
    "the URL of a storage must be": lambda run: rewrite(run, "storage: null", "storage: nonsense"),
    "an attribute of it is no JSON": lambda run: execute(run, "UPDATE study_system_attributes SET value_json = '{'"),
}


def rewrite(run: Path, old: str, new: str) -> None:
    text = (run / "run.yaml").read_text()
    assert old in text
    (run / "run.yaml").write_text(text.replace(old, new))


@pytest.mark.parametrize("reason", BROKEN)
def test_a_study_that_cannot_be_read_is_one_line(run: Path, reason: str) -> None:
    BROKEN[reason](run)
    with pytest.raises(RunError, match=r"^the study of run 'base' cannot be read: ") as error:
        reader = Run(run).reader
        reader.attribute("study:metric_names")
        reader.records()
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_a_byte_that_is_no_text_is_replaced(run: Path) -> None:
    execute(run, "UPDATE trial_user_attributes SET value_json = CAST(x'22FF22' AS TEXT) WHERE trial_id = 4")
    whole = {trial.number: trial for trial in Run(run).reader.trials()}
    assert len(whole) == 30 and set(whole[3].user_attrs.values()) == {"�"}


def test_half_of_a_character_is_replaced(run: Path) -> None:
    change(run, 9, "nas:candidate", lambda known: known.update(line="a\ud800 💥"))
    assert Run(run).frame()["line"][9] == "a? 💥"


def test_looking_leaves_the_folder_as_it_is(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]}
    opened = Run(run)
    assert len(opened.frame()) == 30 and opened.winner is not None
    assert {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]} == before


def test_what_a_search_writes_at_the_same_time_is_read(run: Path) -> None:
    """The write-ahead log holds the last trials; so it does after a crash."""
    searching = Run(run)
    searching.study.enqueue_trial({"block01.skip": "add"})
    assert (run / "study.db-wal").stat().st_size
    assert len(Run(run).reader.records()) == 31
    copied = shutil.copytree(run, run.with_name("copied"), ignore=shutil.ignore_patterns("*-shm"))
    assert len(Run(Path(copied)).reader.records()) == 31


def test_a_file_that_changes_while_it_is_read_is_read_again(run: Path) -> None:
    seen: list[int] = []

    def use(select: database.Select) -> int:
        [(count,)] = select("SELECT count(*) FROM trials")
        if not seen:
            execute(run, "DELETE FROM trials WHERE number = 29")
        seen.append(count)
        return count

    assert database.read(run / "study.db", use) == 29 and len(seen) == 2


def test_a_locked_study_is_not_waited_for(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.connect_to_read, "__kwdefaults__", {"waits_s": 0.1, "changes": True})
    other = sqlite3.connect(run / "study.db", isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")  # with a write-ahead log, no lock keeps a reader out
    other.execute("BEGIN EXCLUSIVE")
    other.execute("DELETE FROM trials WHERE number = 29")
    try:
        with pytest.raises(RunError, match="locked"):
            Run(run).reader.records()
    finally:
        other.close()


def test_a_server_that_does_not_answer_is_one_line(run: Path) -> None:
    pytest.importorskip("psycopg")
    rewrite(run, "storage: null", "storage: postgresql+psycopg://me:secret@127.0.0.1:9/nas")
    with pytest.raises(RunError, match=r"the storage cannot be read: .*refused") as error:
        Run(run).reader.records()
    assert "secret" not in str(error.value) and "\n" not in str(error.value)
