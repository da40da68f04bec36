"""What a search publishes in its study for the Optuna dashboard, read back by the dashboard's own functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note, wsgi

from nas.searching.session import Session
from nas.study import Run
from nas.watching.publisher import Publisher, attach_best
from tests.helpers import scripted
from tests.helpers.sessions import drive, trained
from tests.helpers.wsgi import call

Make = Callable[..., Session]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with eight finished trials, a failed one, and one that is being trained."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    session = Session(Run.create(scripted.space(baselines=["resnet"]), "mine", tmp_path), scripted.price, 20)
    drive(session, 8)
    failed = session.ask()
    assert failed is not None
    session.tell(failed, trained(failed, failure="diverged: <b>loss</b> is nan"))
    running = session.ask()
    assert running is not None
    session.report(running, {"epoch": 1, "accuracy": 0.25})
    session.writer.flush()
    session._prefetcher.close()
    return session.run


def noted(run: Run, number: int) -> str:
    return get_note(optuna.trial.Trial(run.study, run.study.get_trials()[number]._trial_id))


def seen(run: Run) -> Any:
    """What the dashboard's page of the study gets."""
    app = wsgi(run.storage, artifact_store=FileSystemArtifactStore(run.path / "artifacts"))
    return call(app, "GET", "/api/studies/1").json


def test_every_trial_has_a_note_and_a_picture(run: Run) -> None:
    Publisher(run).publish()
    trials = run.study.get_trials()
    states = [trial.state for trial in trials[:10]]
    assert states == [TrialState.COMPLETE] * 8 + [TrialState.FAIL, TrialState.RUNNING]
    assert noted(run, 0).startswith("**finished** · baseline resnet")
    assert noted(run, 8).startswith("**failed**: diverged: ") and "<b>" not in noted(run, 8)
    assert noted(run, 9).startswith("**running**")
    for trial in trials[:10]:
        (picture,) = get_all_artifact_meta(trial, storage=run.storage)
        assert picture.mimetype == "image/svg+xml"
        assert (run.path / "artifacts" / picture.artifact_id).read_text(encoding="utf-8").startswith("<svg")


def test_plots_are_there_and_follow_the_search(run: Run) -> None:
    publisher = Publisher(run)
    publisher.publish()
    plots = {one["id"]: json.loads(one["graph_object"]) for one in seen(run)["plotly_graph_objects"]}
    assert {"accuracy-against-params", "curves", "best-so-far", "skips-by-block", "slots-busy"} <= plots.keys()
    assert sum(map(len, map(json.dumps, plots.values()))) < 100_000
    done = len(plots["best-so-far"]["data"][0]["x"])
    running = run.study.get_trials(states=(TrialState.RUNNING,))[0]
    run.study.tell(running.number, state=TrialState.FAIL)
    publisher.publish(final=True)
    after = {one["id"]: json.loads(one["graph_object"]) for one in seen(run)["plotly_graph_objects"]}
    assert len(after["best-so-far"]["data"][0]["x"]) == done
    assert "stopped by a person" in noted(run, running.number)


def test_the_best_network_can_be_downloaded(run: Run, tmp_path: Path) -> None:
    for content in ("first", "second"):
        for filename in ("network.py", "card.md"):
            (tmp_path / filename).write_text(f"{content} {filename}")
        attach_best(run, tmp_path)
    artifacts = {one["filename"]: one["artifact_id"] for one in seen(run)["artifacts"]}
    assert artifacts.keys() == {"network.py", "card.md"}
    app = wsgi(run.storage, artifact_store=FileSystemArtifactStore(run.path / "artifacts"))
    answer = call(app, "GET", f"/artifacts/1/{artifacts['network.py']}")
    assert answer.body == b"second network.py"


def test_what_a_person_writes_stays(run: Run) -> None:
    publisher = Publisher(run)
    publisher.publish()
    save_note(optuna.trial.Trial(run.study, run.study.get_trials()[3]._trial_id), "mine!")
    save_note(run.study, get_note(run.study) + "\nremember the milk")
    publisher.publish(final=True)
    Publisher(run).publish()
    assert noted(run, 3) == "mine!"
    assert get_note(run.study).endswith("remember the milk")


def test_a_ticked_box_stops_this_search_and_not_the_next(run: Run) -> None:
    publisher = Publisher(run)
    publisher.publish()
    save_note(run.study, get_note(run.study).replace("[ ]", "[x]") + "x" * 3000)
    publisher.publish()
    assert publisher.stop_ticked
    following = Publisher(run)
    for _ in range(2):
        following.publish()
        assert not following.stop_ticked
    assert get_note(run.study).count("- [ ] stop the search") == 1 and get_note(run.study).endswith("x" * 3000)


def test_the_study_says_what_is_searched(run: Run) -> None:
    page = seen(run)
    assert page["objective_names"] == ["accuracy", "params"]
    about = {one["key"]: one["value"] for one in page["user_attrs"]}
    assert about["searched"] == "81 topologies" and about["resume"] == "nas search --resume mine"
    assert about["folder"] == str(run.path) and about["baselines"] == "resnet"
    assert all(len(one["value"]) <= 200 for one in page["user_attrs"])


def test_the_page_of_a_trial_fits_a_screen(run: Run) -> None:
    for trial in seen(run)["trials"]:
        assert all(len(one["value"]) <= 100 for one in trial["user_attrs"])
    first = seen(run)["trials"][0]
    about = {one["key"]: one["value"] for one in first["user_attrs"]}
    assert about["role"] == "baseline resnet" and about["params"].endswith("k")
    running = seen(run)["trials"][9]
    assert running["intermediate_values"] == [{"step": 1, "value": 0.25}]
