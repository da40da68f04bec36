"""The runs of every release open and go on: tests/golden/releases/<version> holds one of each.

    run.yaml, study.db.gz   the run, as that version wrote it
    trials.json             what its trials are: [[number, state, key, accuracy], …]

`pytest --overwrite-golden` writes that of the present version alone.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.analysis import leaderboard
from nas.searching.session import Session
from nas.study import Run
from tests.conftest import GOLDEN
from tests.helpers import scripted
from tests.helpers.sessions import drive, trained

RELEASES = GOLDEN / "releases"
VERSION = tomllib.loads((GOLDEN.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def trials_of(run: Run) -> list[list[Any]]:
    frame = run.frame()
    known = [None if value != value else value for value in frame["accuracy"]]
    return [list(row) for row in zip(frame["trial"].tolist(), frame["state"], frame["key"], known, strict=True)]


def write(folder: Path, scratch: Path) -> None:
    """Write the run of the present version: a baseline, trials in every state, and a queued one."""
    run = Run.create(scripted.space(baselines=["plain"], trials=8), "golden", scratch)
    session = Session(run, scripted.price, 8)
    drive(session, 4)
    for change in ({"failure": "diverged: the loss is not finite"}, {"full_budget": False}):
        candidate = session.ask()
        assert candidate is not None
        session.tell(candidate, trained(candidate, **change))
    session.ask()
    session.close()
    run.study.set_user_attr("folder", "runs/golden")
    run.storage.engine.dispose()
    with sqlite3.connect(run.path / "study.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run.path / "run.yaml", folder)
    packed = gzip.compress((run.path / "study.db").read_bytes(), mtime=0)
    (folder / "study.db.gz").write_bytes(packed)
    (folder / "trials.json").write_text("[\n" + ",\n".join(map(json.dumps, trials_of(run))) + "\n]\n")


def test_the_present_version_has_a_run(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if request.config.getoption("--overwrite-golden"):
        write(RELEASES / VERSION, tmp_path)
    assert (RELEASES / VERSION).is_dir(), f"no run of version {VERSION}: write it with pytest --overwrite-golden"


@pytest.mark.parametrize("release", sorted(path.name for path in RELEASES.glob("*")))
def test_a_run_of_a_release_opens_and_goes_on(release: str, tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    (folder / "weights").mkdir(parents=True)
    shutil.copy(RELEASES / release / "run.yaml", folder)
    (folder / "study.db").write_bytes(gzip.decompress((RELEASES / release / "study.db.gz").read_bytes()))
    run = Run.open("golden", tmp_path)
    expected = json.loads((RELEASES / release / "trials.json").read_text())
    assert trials_of(run) == expected
    assert run.winner == leaderboard(run)["trial"].iloc[0]
    assert run.best() == run.topology(run.winner)
    session = Session(run, scripted.price, run.space.search.trials)
    done = drive(session)
    session.close()
    ended = [row for row in expected if row[1] != "WAITING"]
    assert len(done) > 1 and not {one.topology.key for one in done} & {key for _, _, key, _ in ended}
    assert trials_of(run)[: len(ended)] == ended
    assert not run.study.get_trials(states=(TrialState.WAITING, TrialState.RUNNING))
