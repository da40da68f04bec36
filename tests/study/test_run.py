"""The run folder and the record in it."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState, create_trial

from nas.errors import RunError
from nas.space.objectives import costs
from nas.study import Run
from nas.study import attributes as names
from nas.study.attributes import counts
from nas.study.frame import COURSE, FACTS
from tests.helpers import scripted

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = scripted.space()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(SPACE, "first", tmp_path)


def topology(*kinds: str):
    """The point of SPACE with these skips."""
    trial = optuna.trial.FixedTrial({f"block{place:02}.skip": kind for place, kind in enumerate(kinds, 1)})
    return SPACE.sample(trial)


def finished(run: Run, accuracy: float, params: int, *kinds: str, **attributes) -> None:
    """A trial that was trained to the end."""
    known = {
        names.TOPOLOGY: topology(*kinds).to_dict(),
        names.PREDICTED: {"params": params, "flops": 3, "memory": 5},
        names.METRICS: {"accuracy": accuracy, "loss": 0.1},
        names.MEASURED: {"seconds": 1.5, "busy": 2.0},
        names.CURVE: [{"epoch": 1, "accuracy": accuracy / 2}, {"epoch": 2, "accuracy": accuracy}],
        names.KEY: topology(*kinds).key,
        names.SEED: 7,
    }
    run.study.add_trial(create_trial(values=[accuracy, params], user_attrs=known | attributes))


def test_a_new_run_holds_its_space_and_where_it_came_from(run: Run, tmp_path: Path) -> None:
    config = yaml.safe_load((run.path / "run.yaml").read_text())
    assert config["name"] == "first"
    assert config["space"] == SPACE.to_dict()
    assert config["storage"] is None
    assert config["versions"]["optuna"] == optuna.__version__
    assert set(config["versions"]) == {"python", "skipnas", "torch", "ray", "optuna"}
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(names.__file__).parent, capture_output=True, text=True)
    if head.returncode == 0:
        assert config["commit"].removesuffix("-dirty") == head.stdout.strip()
    assert run.weights_folder.is_dir()
    again = Run.open("first", tmp_path)
    assert again.space == SPACE
    assert [d.name.lower() for d in again.study.directions] == ["maximize", "minimize"]


def test_the_record_is_sqlite_with_a_write_ahead_log(run: Run) -> None:
    with sqlite3.connect(run.path / "study.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with run.storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # NORMAL


def test_a_name_is_taken_once(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run 'first' exists already .*--resume first"):
        Run.create(SPACE, "first", tmp_path)
    assert Run.open("first", tmp_path).study.trials == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x", "a b", "a\nb", "ä", "x" * 200, "..", "a\0b"])
def test_a_name_is_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="letters, digits"):
        Run.create(SPACE, name, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_default_names_are_readable_and_unique(tmp_path: Path) -> None:
    made = [Run.create(SPACE, None, tmp_path).name for _ in range(3)]
    assert len(set(made)) == 3
    assert all(name.startswith("digits-20") for name in made)


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"storage .* cannot be opened"):
        Run.create(SPACE, "first", tmp_path, storage="sqlite:////no/such/folder/study.db")
    with pytest.raises(RunError, match=r"://user:\*\*\*@host"):
        Run.create(SPACE, "first", tmp_path, storage="nosuchdatabase://user:secret@host/db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="no run can be created"):
        Run.create(SPACE, "first", tmp_path / "file")


def test_runs_are_found_by_name_by_path_and_by_age(tmp_path: Path) -> None:
    made = [Run.create(SPACE, name, tmp_path) for name in ("b", "a", "c")]
    (tmp_path / "no-run").mkdir()
    assert [run.name for run in Run.list(tmp_path)] == ["b", "a", "c"]
    assert Run.open(None, tmp_path).name == "c"
    assert Run.open("a", tmp_path).path == made[1].path
    assert Run.open(made[0].path).name == "b"
    assert Run.list(tmp_path / "none") == []


def test_a_run_that_is_not_there(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run 'fist' in .* \(did you mean 'first'\?\)"):
        Run.open("fist", tmp_path)
    with pytest.raises(RunError, match="there is no run in"):
        Run.open(None, tmp_path / "none")


@pytest.mark.parametrize("content", ["{", "[]", "space: 3", "\x00", "a: !!python/object:os.system {}"])
def test_a_damaged_run_is_one_line(run: Run, tmp_path: Path, content: str) -> None:
    (run.path / "run.yaml").write_text(content)
    broken = Run.open("first", tmp_path)
    with pytest.raises(RunError) as error:
        _ = broken.space
    assert "\n" not in str(error.value)
    assert "run.yaml" in str(error.value)
    assert len(Run.list(tmp_path)) == 1


def test_a_lost_record_is_not_made_anew(run: Run, tmp_path: Path) -> None:
    for path in run.path.glob("study.db*"):
        path.unlink()
    with pytest.raises(RunError, match="the record of run 'first' is gone"):
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


def test_a_run_can_move(run: Run, tmp_path: Path) -> None:
    finished(run, 0.5, 10, "none", "none", "none", "none")
    moved = run.path.rename(tmp_path / "elsewhere")
    assert len(Run.open("elsewhere", tmp_path).frame()) == 1
    assert Run(moved).name == "elsewhere"


def test_search_settings_change_in_the_file_too(run: Run, tmp_path: Path) -> None:
    run.update(scripted.space(trials=99))
    assert run.space.search.trials == Run.open("first", tmp_path).space.search.trials == 99


def test_a_frame_of_what_is_there(run: Run) -> None:
    finished(run, 0.75, 10, "add", "none", "concat", "none", baseline="mine", line="a line")
    run.study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={names.REASON: "diverged"}))
    run.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={names.CURVE: None, names.METRICS: 3}))
    run.study.enqueue_trial({"block01.skip": "add"})
    run.study.ask()
    frame = run.frame()
    assert list(frame["trial"]) == [0, 1, 2, 3]
    assert list(frame["state"]) == ["COMPLETE", "FAIL", "RUNNING", "WAITING"]
    row = frame.iloc[0].to_dict()
    ended = row.pop("ended")
    assert row.pop("started") <= ended
    assert pd.isna(row.pop("reason"))
    assert math.isnan(row.pop("latency"))
    made = topology("add", "none", "concat", "none")
    facts = {"trial": 0, "state": "COMPLETE", "baseline": "mine", "key": made.key, "line": "a line"}
    figures = {
        "accuracy": 0.75,
        "params": 10,
        "memory": 5,
        "flops": 3,
        "seconds": 1.5,
        "epochs": 2,
        "seed": 7,
        "reused": None,
    }
    curve = [{"epoch": 1, "accuracy": 0.375}, {"epoch": 2, "accuracy": 0.75}]
    assert row == facts | figures | {"curve": curve, "topology": made.to_dict(), "proxies": None}
    assert frame["reason"][1] == "diverged"
    assert frame["accuracy"][1:].isna().all()
    assert [list(curve) for curve in frame["curve"][1:]] == [[], [], []]
    assert math.isnan(frame["params"][2])


def test_the_frame_of_an_empty_run_has_its_columns(run: Run) -> None:
    frame = run.frame()
    assert len(frame) == 0
    assert [*frame.columns] == [*FACTS, "accuracy", *costs(), *COURSE]


def test_the_winner_is_the_best_and_among_equals_the_smallest(run: Run) -> None:
    assert run.winner is None
    assert run.best() is None
    for accuracy, params, kinds in (
        (0.7, 5, ("none", "none", "none", "none")),
        (0.9, 30, ("add", "none", "none", "none")),
        (0.9, 20, ("none", "add", "none", "none")),
        (0.9, 20, ("none", "none", "add", "none")),
    ):
        finished(run, accuracy, params, *kinds)
    run.study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={names.METRICS: {"accuracy": 1.0}}))
    run.study.add_trial(create_trial(values=[1.0, 1.0]))  # somebody else's, without metrics
    assert run.winner == 2
    assert run.best() == topology("none", "add", "none", "none")


def test_trials_by_number(run: Run) -> None:
    finished(run, 0.5, 10, "add", "add", "add", "add")
    run.study.add_trial(create_trial(values=[1.0, 1.0]))
    assert run.topology(0) == topology("add", "add", "add", "add")
    with pytest.raises(RunError, match="trial 1 of run 'first' has no topology"):
        run.topology(1)
    with pytest.raises(RunError, match="has no trial 2: it has 2"):
        run.topology(2)
    with pytest.raises(RunError, match="has no trial -1"):
        run.topology(-1)
    assert run.weights(0) is None
    (run.weights_folder / "0.safetensors").write_bytes(b"")
    assert run.weights(0) == run.weights_folder / "0.safetensors"


def test_what_counts_was_trained() -> None:
    assert counts(create_trial(values=[1.0, 1.0], user_attrs={names.CURVE: []}))
    assert counts(create_trial(state=TrialState.FAIL, user_attrs={names.CURVE: []}))
    assert not counts(create_trial(state=TrialState.FAIL, user_attrs={names.REASON: "over the limits: params"}))
    assert not counts(create_trial(state=TrialState.RUNNING, user_attrs={names.CURVE: []}))


def test_one_process_searches_a_run_at_a_time(run: Run) -> None:
    program = (
        "import sys; from pathlib import Path; from nas.study import Run\n"
        "with Run(Path(sys.argv[1])).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match=rf"being searched by another process \(pid {other.pid}\)"), run.lock():
            pass
        other.kill()
    with run.lock():
        assert (run.path / ".lock").read_text() == str(os.getpid())


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
