"""The dashboard of a run and of all runs, through its WSGI application."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from nas.errors import RunError
from nas.study import Run, compat
from nas.watching import Board
from tests.helpers.wsgi import call
from tests.watching.conftest import MakeRun

FILE = "data:text/plain;base64," + base64.b64encode(b"seen").decode()
WRITES = [
    ("POST", "/api/studies", {"study_name": "new", "directions": ["minimize"]}),
    ("POST", "/api/studies/1/rename", {"study_name": "new"}),
    ("DELETE", "/api/studies/1", {}),
    ("PUT", "/api/studies/1/1/note", {"version": 1, "body": "x"}),
    ("POST", "/api/trials/2/tell", {"state": "Fail"}),
    ("POST", "/api/artifacts/1/2", {"file": FILE}),
    ("PATCH", "/anything", None),
]


def test_the_dashboard_of_a_run(make_run: MakeRun) -> None:
    run = make_run("one", 0.5)
    board = Board.of_run(run)
    assert board.path == "/dashboard/studies/1" and board.title == "one"
    app = board.app()
    assert [study["study_name"] for study in call(app, "GET", "/api/studies").json["study_summaries"]] == ["one"]
    assert len(call(app, "GET", "/api/studies/1").json["trials"]) == 2
    assert b"<html" in call(app, "GET", board.path).body
    assert call(app, "POST", "/api/trials/2/tell", {"state": "Fail"}).status == 204
    assert run.study.trials[1].state is TrialState.FAIL


def test_files_lie_in_the_folder_of_the_run(make_run: MakeRun) -> None:
    run = make_run("one", 0.5)
    app = Board.of_run(run).app()
    assert not (run.path / "artifacts").exists()
    made = call(app, "POST", "/api/artifacts/1/2", {"file": FILE, "filename": "a.txt"})
    assert made.status == 201
    name = made.json["artifact_id"]
    assert (run.path / "artifacts" / name).read_bytes() == b"seen"
    assert call(app, "GET", f"/artifacts/1/2/{name}").body == b"seen"
    assert call(app, "DELETE", f"/api/artifacts/1/2/{name}").status == 204
    assert call(app, "DELETE", f"/api/artifacts/1/2/{name}").status == 404
    assert list((run.path / "artifacts").iterdir()) == []


@pytest.mark.parametrize("every", [False, True])
def test_read_only_refuses_every_write(make_run: MakeRun, tmp_path: Path, every: bool) -> None:
    run = make_run("one", 0.5)
    root = tmp_path / "runs"
    board = Board.of_all(print, read_only=True, root=root) if every else Board.of_run(run, read_only=True)
    app = board.app()
    for method, path, data in WRITES:
        answer = call(app, method, path, data)
        assert answer.status == 403
        assert "read only" in answer.json["reason"]
    assert call(app, "GET", "/api/studies").status == 200
    assert call(app, "HEAD", "/dashboard").status == 200
    with pytest.raises(StorageInternalError) as raised:
        board.storage.set_study_user_attr(board.storage.get_study_id_from_name("one"), "x", 1)
    assert "readonly" in str(raised.value.__cause__)
    assert not (run.path / "artifacts").exists()
    assert [study.study_name for study in run.storage.get_all_studies()] == ["one"]


@pytest.mark.parametrize("content", [None, b"", b"no database" * 1000])
def test_read_only_creates_nothing(make_run: MakeRun, content: bytes | None) -> None:
    path = make_run("one").path
    (path / "study.db").unlink()
    for rest in path.glob("study.db-*"):
        rest.unlink()
    if content is not None:
        (path / "study.db").write_bytes(content)
    before = sorted(file.name for file in path.iterdir())
    with pytest.raises(RunError, match="'one'") as raised:
        Board.of_run(Run(path), read_only=True)
    assert "\n" not in str(raised.value)
    assert sorted(file.name for file in path.iterdir()) == before
    assert content is None or (path / "study.db").read_bytes() == content


def test_read_only_opens_a_folder_with_special_letters(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("one", 0.5).path
    odd = path.rename(path.parent / "50% # of")
    assert Board.of_run(Run(odd), read_only=True).path == "/dashboard/studies/1"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_study_that_is_missing_is_one_line(make_run: MakeRun, read_only: bool) -> None:
    run = make_run("one")
    run.storage.delete_study(1)
    with pytest.raises(RunError, match="the storage of run 'one' holds no study 'one'"):
        Board.of_run(Run(run.path), read_only)


def test_all_runs_in_one_dashboard(make_run: MakeRun, tmp_path: Path) -> None:
    one, two = make_run("one", 0.5), make_run("two", 0.7, 0.8)
    board = Board.of_all(print, root=tmp_path / "runs")
    assert board.path == "/dashboard"
    app = board.app()
    ids = {study["study_name"]: study["study_id"] for study in call(app, "GET", "/api/studies").json["study_summaries"]}
    assert list(ids) == ["one", "two"]
    assert Board.of_all(print, two, root=tmp_path / "runs").path == f"/dashboard/studies/{ids['two']}"

    trials = call(app, "GET", f"/api/studies/{ids['two']}").json["trials"]
    assert [trial["study_id"] for trial in trials] == [ids["two"]] * 3
    scored, running = trials[0]["trial_id"], trials[2]["trial_id"]
    assert call(app, "POST", f"/api/trials/{running}/user-attrs", {"user_attrs": {"by": "hand"}}).status == 204
    assert call(app, "POST", f"/api/trials/{running}/tell", {"state": "Complete", "values": [0.9, 50]}).status == 204
    assert two.study.trials[2].values == [0.9, 50.0] and two.study.trials[2].user_attrs["by"] == "hand"
    assert one.study.trials[1].state is TrialState.RUNNING

    note = f"/api/studies/{ids['two']}/{scored}/note"
    assert call(app, "PUT", note, {"version": 1, "body": "look"}).status == 204
    assert call(app, "PUT", note, {"version": 1, "body": "again"}).status == 409
    again = call(app, "GET", f"/api/studies/{ids['two']}").json
    assert [trial["note"]["body"] for trial in again["trials"]] == ["look", "", ""]
    assert {trial["note"]["body"] for trial in call(app, "GET", f"/api/studies/{ids['one']}").json["trials"]} == {""}
    assert "dashboard:1:note_ver" in two.storage.get_study_system_attrs(1)
    assert call(app, "GET", f"/csv/{ids['two']}").body.count(b"\n") == 4

    for path in ("/api/studies", f"/api/studies/{ids['one']}/rename"):
        refused = call(app, "POST", path, {"study_name": "new", "directions": ["minimize"]})
        assert refused.status == 403 and "neither creates nor renames" in refused.json["reason"]
    assert call(app, "DELETE", f"/api/studies/{ids['one']}", {}).status == 204
    assert one.storage.get_all_studies() == [] and len(two.storage.get_all_studies()) == 1


def test_files_of_all_runs_are_found_and_go_to_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("one", 0.5)
    two = make_run("two", 0.7)
    two.path.joinpath("artifacts").mkdir()
    (tmp_path / "plot.txt").write_text("drawn")
    old = upload_artifact(
        artifact_store=FileSystemArtifactStore(two.path / "artifacts"),
        file_path=str(tmp_path / "plot.txt"),
        study_or_trial=two.study.trials[1],
        storage=two.storage,
    )
    board = Board.of_all(print, root=tmp_path / "runs")
    app = board.app()
    study = board.storage.get_study_id_from_name("two")
    trials = call(app, "GET", f"/api/studies/{study}").json["trials"]
    assert [[file["artifact_id"] for file in trial["artifacts"]] for trial in trials] == [[], [old]]
    running = trials[1]["trial_id"]
    assert call(app, "GET", f"/artifacts/{study}/{running}/{old}").body == b"drawn"
    made = call(app, "POST", f"/api/artifacts/{study}/{running}", {"file": FILE, "filename": "a.txt"})
    assert made.status == 201
    assert (two.path / "artifacts" / made.json["artifact_id"]).read_bytes() == b"seen"
    made = call(app, "POST", f"/api/artifacts/{study}", {"file": FILE, "filename": "b.txt"}).json["artifact_id"]
    assert (two.path / "artifacts" / made).read_bytes() == b"seen"
    assert not (two.path.parent / "one" / "artifacts").exists()
    assert call(app, "DELETE", f"/api/artifacts/{study}/{running}/{old}").status == 204
    assert not (two.path / "artifacts" / old).exists()


def test_no_run_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run in .* that can be shown"):
        Board.of_all(print, root=tmp_path)


def test_finished_trials_are_read_once(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board.of_run(make_run("one", 0.5, 0.6))
    before = board.storage.get_all_trials(1, deepcopy=False)
    after = board.storage.get_all_trials(1, deepcopy=False)
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, True, False]
    assert compat.trial_id(after[2]) == 3
