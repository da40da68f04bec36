"""Logs for tools that draw curves: read back by the tools themselves."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from nas.errors import SpaceError
from nas.searching import loggers as module
from nas.searching.candidate import Candidate
from nas.searching.loggers import LOGGERS, TrialLog, loggers, numbers_of
from nas.searching.outcome import TrialOutcome
from nas.searching.search_log import logged
from nas.study import Run
from tests.helpers import scripted
from tests.searching.test_display import candidates


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(scripted.space(trials=3), "mine", tmp_path)


def search_with(log: TrialLog, run: Run) -> list[Candidate]:
    """A baseline that ends, a candidate that fails in its second try, one that is refused, one that is interrupted."""
    first, second, third, fourth = made = candidates(run.space, 4)
    first.baseline, third.refusal = "plain", "over the limits: 5 params"
    with logged([log], run):
        log.started(first)
        log.started(second)
        log.epoch_ended(first, {"epoch": 1, "accuracy": 0.5, "loss": float("nan"), "seconds": 1.5}, 1.75)
        log.epoch_ended(second, {"epoch": 1, "accuracy": 0.25}, 1.75)
        log.epoch_ended(first, {"epoch": 2, "accuracy": 0.75}, 1.75)
        outcome = TrialOutcome([{"epoch": 2, "accuracy": 0.75}], True, None, {"seconds": 4.0})
        log.ended(first, "COMPLETE", None, outcome)
        log.retried(second, "out of memory: no more")
        log.ended(second, "FAIL", "diverged", TrialOutcome())
        log.refused(third)
        log.started(fourth)
    return made


def test_tensorboard_reads_what_was_written(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = search_with(LOGGERS["tensorboard"](), run)
    assert capsys.readouterr().err == ""
    folders = {path.name: path for path in (run.path / "tensorboard").iterdir()}
    assert set(folders) == {"trial-00000-plain", "trial-00001", "trial-00002", "trial-00003"}
    first, second, third, fourth = (EventAccumulator(str(folders[name])).Reload() for name in sorted(folders))
    assert [(point.step, point.value) for point in first.Scalars("accuracy")] == [(1, 0.5), (2, 0.75)]
    values = {tag: first.Scalars(tag)[-1].value for tag in first.Tags()["scalars"]}
    predicted = {f"predicted/{name}": value for name, value in made[0].predicted.items()}
    assert values == {"accuracy": 0.75, "result/accuracy": 0.75, "measured/seconds": 4.0} | predicted

    def text(trial: Any, tag: str) -> str:
        [value] = trial.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val
        return value.decode()

    assert (text(first, "topology"), text(first, "state")) == (made[0].topology.describe(), "COMPLETE")
    assert (text(first, "key"), text(first, "baseline")) == (made[0].topology.key, "plain")
    assert (text(second, "state"), text(second, "reason")) == ("FAIL", "diverged")
    assert text(third, "reason") == "over the limits: 5 params"
    assert text(fourth, "state") == "INTERRUPTED"


def test_mlflow_reads_what_was_written(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: it would replace half of the environment")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = search_with(LOGGERS["mlflow"](), run)
    assert "nothing more is written" not in capsys.readouterr().err
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{run.path / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    found = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert set(found) == {"trial 00000 plain", "trial 00001", "trial 00002", "trial 00003"}
    first = found["trial 00000 plain"]
    curve = client.get_metric_history(first.info.run_id, "accuracy")
    assert sorted((point.step, point.value) for point in curve) == [(1, 0.5), (2, 0.75)]
    assert first.data.metrics["result/accuracy"] == 0.75 and first.data.metrics["predicted/params"] == 1000
    assert (first.data.tags["topology"], first.data.tags["state"]) == (made[0].topology.describe(), "COMPLETE")
    assert first.info.status == "FINISHED"
    assert found["trial 00002"].info.status == found["trial 00003"].info.status == "KILLED"


class FakeWandb(types.ModuleType):
    """Notes what it is given, as the library of Weights & Biases takes it."""

    class Run:
        def __init__(self, options: dict[str, Any]) -> None:
            self.options, self.points, self.summary, self.code = options, [], {}, None

        def log(self, data: dict[str, float], step: int) -> None:
            self.points.append((step, data))

        def finish(self, exit_code: int) -> None:
            self.code = exit_code

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
        self.runs: list[FakeWandb.Run] = []

    def init(self, **options: Any) -> FakeWandb.Run:
        self.runs.append(FakeWandb.Run(options))
        return self.runs[-1]

    def Settings(self, **options: Any) -> dict[str, Any]:
        return options


@pytest.mark.parametrize(("said", "mode"), [(None, "offline"), ("online", "online")])
def test_wandb_is_offline_unless_it_is_told_otherwise(
    run: Run, monkeypatch: pytest.MonkeyPatch, said: str | None, mode: str
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False) if said is None else monkeypatch.setenv("WANDB_MODE", said)
    [log] = loggers(["wandb"])
    assert isinstance(log, TrialLog)
    search_with(log, run)
    first, second, again, refused, interrupted = fake.runs
    assert first.options | {"config": 0} == {
        "project": "mine",
        "name": "trial 00000 plain",
        "dir": str(run.path),
        "mode": mode,
        "config": 0,
        "reinit": "create_new",
        "settings": {"silent": True, "console": "off"},
    }
    assert first.points == [(1, {"accuracy": 0.5}), (2, {"accuracy": 0.75})]
    assert first.summary["result/accuracy"] == 0.75 and first.summary["state"] == "COMPLETE"
    assert (second.summary["state"], again.summary["state"], refused.summary["state"]) == ("RETRIED", "FAIL", "REFUSED")
    assert interrupted.summary["state"] == "INTERRUPTED"
    assert [one.code for one in fake.runs] == [0, 0, 1, 0, 0]


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpaceError) as told:
        loggers(["mlflow"])
    assert str(told.value) == "search.log_to: mlflow is not installed: pip install 'skipnas[mlflow]'"
    assert loggers([]) == []


def test_numbers_are_finite() -> None:
    record = {"a": 1, "b": 0.5, "c": float("inf"), "d": "word", "e": None, "f": [1]}
    assert numbers_of(record) == {"a": 1.0, "b": 0.5}
