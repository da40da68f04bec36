"""The Optuna storage of a run."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from nas.errors import RunError
from nas.study import Run
from tests.helpers.runs import SPACE, finished, topology


def test_the_record_is_sqlite_with_a_write_ahead_log(run: Run) -> None:
    with sqlite3.connect(run.path / "study.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with run.storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # NORMAL


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"storage .* cannot be opened"):
        Run.create(SPACE, "first", tmp_path, storage="sqlite:////no/such/folder/study.db")
    with pytest.raises(RunError, match=r"://user:\*\*\*@host"):
        Run.create(SPACE, "first", tmp_path, storage="nosuchdatabase://user:secret@host/db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="no run can be created"):
        Run.create(SPACE, "first", tmp_path / "file")


def test_a_lost_record_is_not_made_anew(run: Run, tmp_path: Path) -> None:
    for path in run.path.glob("study.db*"):
        path.unlink()
    with pytest.raises(RunError, match="the study of run 'first' is lost"):
        _ = Run.open("first", tmp_path).study
    assert not (run.path / "study.db").exists()


def test_a_storage_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'team.db'}"
    run = Run.create(SPACE, "first", tmp_path / "here", storage=url)
    assert run.storage_url == url
    assert not (run.path / "study.db").exists()
    assert (run.path / "run.yaml").stat().st_mode & 0o077 == 0
    assert optuna.get_all_study_names(url) == ["first"]
    with pytest.raises(RunError, match="holds a study 'first' already"):
        Run.create(SPACE, "first", tmp_path / "there", storage=url)


def test_optuna_reads_the_record(run: Run) -> None:
    finished(run, 0.75, 10, "add", "none", "concat", "none")
    command = [
        Path(sys.executable).with_name("optuna"),
        "trials",
        "--storage",
        run.storage_url,
        "--study-name",
        "first",
    ]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=True)
    [trial] = json.loads(done.stdout)
    assert trial["state"] == "COMPLETE"
    assert trial["user_attrs"]["key"] == topology("add", "none", "concat", "none").key


def test_postgresql_needs_no_driver_in_its_url(postgresql: str, tmp_path: Path) -> None:
    assert postgresql.startswith("postgresql://")
    run = Run.create(SPACE, "first", tmp_path, storage=postgresql)
    finished(run, 0.75, 10, "add", "none", "concat", "none")
    assert run.storage.engine.url.drivername == "postgresql+psycopg"
    assert [trial.values for trial in run.study.get_trials()] == [[0.75, 10.0]]


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("postgresql://me@host/studies", "psycopg", "postgresql"),
        ("postgresql+psycopg://me@host/studies", "psycopg", "postgresql"),
        ("mysql://me@host/studies", "pymysql", "mysql"),
        ("mariadb://me@host/studies", "pymysql", "mysql"),
    ],
)
def test_a_missing_driver_is_named_with_its_extra(
    url: str, driver: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)  # its import fails
    with pytest.raises(RunError, match=rf"it needs {driver}: pip install 'skipnas\[{extra}\]'$"):
        Run.create(SPACE, "first", tmp_path, storage=url)
