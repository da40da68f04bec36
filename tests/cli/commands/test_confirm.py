"""`nas confirm`: the leaders of a run, trained again with new seeds."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from nas.study import Run
from nas.study.confirmation import Confirmation
from tests.helpers.command_line import Nas, check_mistake


@pytest.fixture
def mine(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the run, called mine."""
    shutil.copytree(folder / "runs" / "first", tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_mistakes_are_one_line(mine: Path, nas: Nas) -> None:
    check_mistake(nas("confirm", "other"), "there is no run 'other'")
    check_mistake(nas("confirm", "mine", "--by", "speed"), "speed")
    check_mistake(nas("confirm", "mine", "--recipe", "epochs"), "--recipe must be KEY=VALUE")
    check_mistake(nas("confirm", "mine", "--recipe", "epochs=many"), "train.epochs")
    check_mistake(nas("confirm", "mine", "--recipe", "epoch=3"), "epoch")
    check_mistake(nas("confirm", "mine", "--train-on", "test"), "--train-on must be train or train+validation")
    check_mistake(nas("confirm", "mine", "--trial", "999"), "has no trial 999")


def test_a_run_is_confirmed_and_the_same_call_trains_nothing_again(mine: Path, nas: Nas) -> None:
    words = ("confirm", "mine", "--top", "1", "--seeds", "2", "--recipe", "epochs=1")
    done = nas(*words, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["complete"]
    assert told["seeds"] == [1000, 1001]
    assert told["recipe"]["epochs"] == 1
    assert told == json.loads((mine / "runs/mine/confirm.json").read_text()) | {"run": told["run"]}
    run = Run.open("mine")
    trials = Confirmation(run).trials()
    assert len(trials) == 2 * len(told["networks"])
    card = (mine / "runs/mine/best/card.md").read_text()
    assert "confirmed test accuracy" in card
    assert "Not confirmed yet" not in (mine / "runs/mine/report.html").read_text()

    again = nas(*words, "--csv")
    rows = list(csv.DictReader(io.StringIO(again.out)))
    assert [row["network"] for row in rows] == [one["name"] for one in told["networks"]]
    assert float(rows[0]["test_mean"]) == pytest.approx(told["networks"][0]["test"]["mean"])
    assert len(Confirmation(Run.open("mine")).trials()) == len(trials)

    shown = nas(*words)
    assert "ahead" in shown.out
    assert told["verdict"][0][:40] in " ".join(shown.out.split())

    # the same seeds give the same numbers, to the bit
    study = Confirmation(Run.open("mine"))
    run.storage.delete_study(run.storage.get_study_id_from_name(study.study_name))
    fresh = json.loads(nas(*words, "--json").out)
    assert [(one["validation"], one["test"]) for one in fresh["networks"]] == [
        (one["validation"], one["test"]) for one in told["networks"]
    ]


def test_help_has_an_example(nas: Nas) -> None:
    assert "nas confirm --top 5 --seeds 5" in nas("confirm", "--help").out
