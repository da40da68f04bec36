"""Searches with Ray: faults, early stopping, time limits, weights, and what is printed."""

from __future__ import annotations

import functools
import importlib
import inspect
import io
import json
import os
import pydoc
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import ray.cloudpickle
from optuna.trial import TrialState

import nas
from nas.errors import RunError, SpaceError
from nas.searching import checkpointing, environment
from nas.searching.driver import _predict_cost as real_predict_cost
from nas.searching.driver import search
from nas.searching.progress import Progress
from nas.searching.searcher import SessionSearcher
from nas.space import SearchSpace
from nas.study import Run
from nas.topology import Topology, references
from tests.helpers import scripted
from tests.helpers.published import TABLE, needs_table


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """One Ray for all tests: searches use it and leave it running."""
    environment.prepare()
    ray.cloudpickle.register_pickle_by_value(scripted)  # the tests may be off the path of Ray's processes
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(scripted)


@pytest.fixture(scope="module", autouse=True)
def free_cost_predictions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.searching.driver._predict_cost", lambda topology, recipe: scripted.price(topology))
        yield


def run_search(space: SearchSpace | None, root: Path, *, script: dict[str, Any] | None = None, **options: Any) -> Run:
    """Search on two slots with scripted results."""
    evaluate = functools.partial(scripted.Scripted, **(script or {}))
    return search(space, **({"root": root, "slots": 2, "evaluate": evaluate} | options))


@pytest.fixture(scope="module")
def exhausted(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A search of a space of nine topologies: its run, and what it printed."""
    root = tmp_path_factory.mktemp("exhausted")
    space = scripted.space(blocks=2, baselines=["plain"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", said := io.StringIO())
        options = {"name": "small", "trials": 50, "sampler": "tpe", "seed": 5}
        run = run_search(space, root, script={"log": root / "log"}, **options)
    return run, said.getvalue()


def states(run: Run) -> Counter[str]:
    return Counter(run.frame()["state"])


# ---------------------------------------------------------------------------------------------- a search without faults


def test_an_exhausted_space_ends_the_search(exhausted: tuple[Run, str]) -> None:
    run, said = exhausted
    assert states(run) == {"COMPLETE": 9}
    assert len([line for line in said.splitlines() if " running (" not in line]) == 12
    assert "small: the space is exhausted: every topology was tried; 9 finished" in said


def test_slots_are_reused(exhausted: tuple[Run, str]) -> None:
    run, _ = exhausted
    lines = (run.path.parent / "log").read_text().split()
    assert len(lines) == 3 * 2 * 9
    assert len(set(lines[2::3])) <= 2  # processes


def test_settings_of_the_call_are_those_of_the_run(exhausted: tuple[Run, str]) -> None:
    run, _ = exhausted
    settings = Run(run.path).space.search
    assert (settings.trials, settings.sampler, settings.seed) == (50, "tpe", 5)
    assert set(run.frame()["seed"]) == {5}


def test_slots_are_as_nice_as_this_process(cluster: None) -> None:
    assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)


def test_a_finished_search_does_not_start_again(exhausted: tuple[Run, str], capfd: pytest.CaptureFixture[str]) -> None:
    run, _ = exhausted
    search(resume=run.path, trials=8)
    assert capfd.readouterr() == ("", "")
    assert states(run) == {"COMPLETE": 9}


def test_a_run_is_searched_once_at_a_time(exhausted: tuple[Run, str]) -> None:
    run, _ = exhausted
    with run.lock(), pytest.raises(RunError, match="is being searched by another process"):
        search(resume=run.path)


def test_a_run_keeps_its_storage(exhausted: tuple[Run, str]) -> None:
    run, _ = exhausted
    with pytest.raises(RunError, match="has its storage already"):
        search(resume=run.path, storage="sqlite:///other.db")


def test_earlier_sessions_are_shown(exhausted: tuple[Run, str]) -> None:
    run, _ = exhausted
    progress = Progress(run.space, 9, 6, 2)
    progress.recall(run.study.trials)
    assert progress.best is not None
    assert progress.best.value == run.frame()["accuracy"].max()
    assert list(progress.baselines) == ["plain"]


# --------------------------------------------------------------------------------------------------------------- faults

# percent of all topologies; among the first 30 samples one crashes its process, one hangs and one runs out of memory:
# each of these costs a process
FAULTS = {"crash": 3, "hang": 9, "nan": 8, "error": 10, "missing": 8, "diverged": 9, "memory": 3}
REASONS = {
    "crash": "lost its process 3 times: ",
    "hang": "timed out: more than 2 s",
    "nan": "diverged: accuracy is nan",
    "error": "error: ValueError: the dog ate the gradient",
    "missing": "missing metric: no 'accuracy' was reported",
    "diverged": "diverged: the loss is not finite in epoch 2",
    "memory": "out of memory: predicted 1",
}


def test_every_fault_has_its_reason(cluster: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    run = run_search(scripted.space(6, trials=30, timeout=2), tmp_path, script={"faults": FAULTS, "log": log})
    frame = run.frame()
    assert len(frame) == 30
    met = set()
    again: dict[str, list[str]] = {"memory": [], "crash": []}  # the faults after which a training starts again
    for row in frame.itertuples():
        fault = scripted.fault_of(run.topology(row.trial), FAULTS)
        met.add(fault)
        if fault is None:
            assert row.state == "COMPLETE"
            assert row.accuracy == scripted.accuracy(run.topology(row.trial))
        else:
            assert row.state == "FAIL"
            assert row.reason.startswith(REASONS[fault])
            assert row.epochs == (2 if fault in ("nan", "missing") else 1)
        assert [entry["epoch"] for entry in row.curve] == list(range(1, row.epochs + 1))  # with two objectives, too
        if fault in again:
            again[fault].append(row.key)
    assert met == {None, *FAULTS}
    begun = Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("begin"))
    times = dict.fromkeys(again["memory"], 2) | dict.fromkeys(again["crash"], 3)  # the former alone on the device
    assert begun == dict.fromkeys(begun, 1) | times
    first, *others = capfd.readouterr().err.splitlines()
    others = [line for line in others if " running (" not in line]  # on a slow machine, one after half a minute
    assert first.endswith(": starting Ray …") and len(others) == 32 + len(again["memory"]) + 2 * len(again["crash"])
    assert not [word for word in ("Traceback", "Ray ", "Warning") if word in "\n".join(others)]


def test_a_candidate_whose_process_is_killed_is_trained_again(cluster: None, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def kill_one() -> None:
        while not log.exists() or "begin" not in log.read_text():
            time.sleep(0.02)
        os.kill(int(log.read_text().split()[2]), signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    run = run_search(scripted.space(), tmp_path, script={"seconds": 0.5, "log": log}, trials=3, quiet=True)
    killer.join()
    assert states(run) == {"COMPLETE": 3}
    begun = Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("begin"))
    assert sorted(begun.values()) == [1, 1, 2]
    assert all(len(curve) == 2 for curve in run.frame()["curve"])


def test_a_candidate_whose_process_dies_goes_on_from_its_checkpoint(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpointing, "EVERY_S", 0)
    monkeypatch.setattr(checkpointing, "PACE", 0)
    space = SearchSpace.from_dict(scripted.space(trials=2).to_dict() | {"train": {"epochs": 6}})
    log = tmp_path / "log.json"
    evaluate = functools.partial(scripted.Mortal, run=tmp_path / "mortal", epochs=6, log=tmp_path / "log")
    run = run_search(space, tmp_path, name="mortal", evaluate=evaluate, slots=1, log_json=log)
    assert states(run) == {"COMPLETE": 2}
    for curve in run.frame()["curve"]:
        assert [record["epoch"] for record in curve] == [1, 2, 3, 4, 5, 6]
        assert [record["accuracy"] / curve[-1]["accuracy"] for record in curve] == pytest.approx(np.arange(1, 7) / 6)
        first, second = (curve[place]["process"] for place in (0, -1))
        processes = [record["process"] for record in curve]
        assert first != second and processes == sorted(processes, key=[first, second].index)
    said = capfd.readouterr().err
    assert (
        len(re.findall(r"trial \d  once more: lost its process: .*\ntrial \d  goes on after epoch [1-4]\n", said)) == 2
    )
    assert not (run.path / "checkpoints").exists()
    events = [event for event in map(json.loads, log.read_text().splitlines()) if event.get("trial") == 0]
    after = [event["event"] for event in events].index("retried")
    assert [event.get("epoch") for event in events[after + 1 : -1]] == [1, 2, 3, 4, 5, 6]  # told once more


def test_tune_never_waits_for_a_slow_sampler(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a candidate is trained, `suggest` returns at once, with or without a suggestion."""
    took: list[float] = []
    suggest, ask = SessionSearcher.suggest, scripted.price

    def timed(self: SessionSearcher, trial_id: str) -> Any:
        busy, began = bool(self.trainings), time.perf_counter()
        suggestion = suggest(self, trial_id)
        if busy and suggestion is None:
            took.append(time.perf_counter() - began)
        return suggestion

    def slow(topology: Topology, recipe: object) -> dict[str, int]:
        time.sleep(0.5)
        return ask(topology)

    monkeypatch.setattr(SessionSearcher, "suggest", timed)
    monkeypatch.setattr("nas.searching.driver._predict_cost", slow)
    run = run_search(scripted.space(), tmp_path, script={"seconds": 0.3}, trials=4, quiet=True)
    assert states(run) == {"COMPLETE": 4}
    assert len(took) > 4
    assert sorted(took)[len(took) // 2] < 0.025  # the median: the machine may be busy with other work at times


def test_an_evaluator_that_cannot_be_made_ends_the_search(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no candidate can be trained: error: FileNotFoundError: the data is not there"):
        run_search(scripted.space(), tmp_path, evaluate=scripted.Broken, name="broken")
    assert set(states(Run.open("broken", tmp_path))) == {"WAITING"}


def test_code_that_the_slots_cannot_import_ends_the_search(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def evaluator(*, device, threads):\n    raise NotImplementedError\n")
    monkeypatch.syspath_prepend(tmp_path)  # of this process: Ray's processes do not have it
    evaluate = importlib.import_module("only_here").evaluator
    with pytest.raises(RunError, match=r"no candidate can be trained: .*No module named 'only_here'"):
        run_search(scripted.space(), tmp_path, evaluate=evaluate, name="lost")
    assert set(states(Run.open("lost", tmp_path))) == {"WAITING"}


def test_an_error_of_the_search_itself_is_raised(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("nas.searching.session.Session.tell", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_search(scripted.space(), tmp_path, name="mine")
    assert set(states(Run.open("mine", tmp_path))) == {"WAITING"}


# --------------------------------------------------------------------------------------------------------- when it ends


def test_asha_stops_the_worse_candidates(cluster: None, tmp_path: Path) -> None:
    rule = {"rule": "asha", "grace": 1, "reduction": 2}
    run = run_search(scripted.space(6, trials=20, early_stopping=rule), tmp_path, script={"epochs": 4})
    frame = run.frame()
    ended = Counter(frame["state"])
    assert ended["PRUNED"] >= 3
    assert ended["COMPLETE"] >= 3
    assert ended.total() == 20
    stopped = frame[frame["state"] == "PRUNED"]
    assert (stopped["epochs"] < 4).all()
    assert (frame[frame["state"] == "COMPLETE"]["epochs"] == 4).all()
    assert run.study.trials[int(stopped["trial"].iloc[0])].values is None
    accuracies = [scripted.accuracy(run.topology(number)) for number in frame["trial"]]
    assert frame["accuracy"][frame["state"] == "COMPLETE"].max() == max(accuracies)


def test_a_search_stops_in_time_and_goes_on(cluster: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = run_search(scripted.space(6, trials=700), tmp_path, time="8s", name="first", script={"seconds": 0.1})
    before = states(run)
    assert set(before) <= {"COMPLETE", "WAITING"}
    assert before["WAITING"] <= 3  # two that were trained, one that was next
    assert "first: the time is up (8 s); nas search --resume first goes on" in capfd.readouterr().err
    wanted = before["COMPLETE"] + 5
    again = run_search(None, tmp_path, resume="first", time="200s", trials=wanted)
    assert states(again) == {"COMPLETE": wanted}
    assert again.space.search.trials == wanted
    assert len(set(again.frame()["key"])) == wanted
    assert f"first: {wanted} candidates" in capfd.readouterr().err


# -------------------------------------------------------------------------------------------------------- the arguments


def test_either_a_space_or_a_run() -> None:
    with pytest.raises(RunError, match="one of them"):
        search()
    with pytest.raises(RunError, match="one of them"):
        search(scripted.space(), resume="x")


def test_settings_are_checked_as_in_a_file(tmp_path: Path) -> None:
    for wrong in ({"sampler": "oracle"}, {"trials": 0}, {"time": "soon"}, {"seed": -1}):
        with pytest.raises(SpaceError, match=f"search.{next(iter(wrong))}"):
            search(scripted.space(), root=tmp_path / "runs", **wrong)
    assert not (tmp_path / "runs").exists()


def test_nas_search_is_the_function_and_shows_its_arguments() -> None:
    assert nas.search is search
    assert {"trials", "gpus_per_trial", "storage"} <= inspect.signature(nas.search).parameters.keys()
    assert "gpus_per_trial" in pydoc.render_doc(nas.search)
    with pytest.raises(RunError, match="one of them"):
        nas.search()


# ------------------------------------------------------------------------------------------------------ a real training


def test_a_search_trains_and_keeps_the_weights_of_its_leaders(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    from nas.network import build
    from nas.training.data import ResidentBatches
    from nas.training.loop import score

    monkeypatch.setattr("nas.searching.driver._predict_cost", real_predict_cost)
    data = scripted.space(trials=2, baselines=["resnet"], objectives=["accuracy", "params", "memory"]).to_dict()
    space = SearchSpace.from_dict(data | {"train": {"epochs": 1}})
    run = search(space, root=tmp_path, slots=1)
    frame = run.frame().set_index("trial")
    assert list(frame["state"]) == ["COMPLETE"] * 3
    assert (frame["seconds"] > 0).all()
    assert run.winner is not None
    assert run.weights(run.winner) is not None
    for path in run.weights_folder.iterdir():
        number = int(path.stem)
        network = build(run.topology(number))
        network.load_state_dict(load_file(path), strict=True)
        assert sum(p.numel() for p in network.parameters()) == frame["params"][number]
        network.to(memory_format=torch.channels_last)
        validation = ResidentBatches.of(space.task.load().validation, "cpu")
        assert score(network, validation, space.task, space.recipe)["accuracy"] == frame["accuracy"][number]


# ----------------------------------------------------------------------------------------- results instead of trainings


def test_a_table_is_searched_without_training(cluster: None, tmp_path: Path) -> None:
    space = scripted.space(blocks=3)
    keys = [topology.key for topology in space.enumerate()]
    table = {key: {"accuracy": number} for number, key in enumerate(keys[1:])}
    (tmp_path / "table.json").write_text(json.dumps(table))
    task = {"of": "digits", "table": str(tmp_path / "table.json")}
    space = SearchSpace.from_dict(space.to_dict() | {"task": task})
    frame = search(space, root=tmp_path, slots=2, trials=100, sampler="exhaustive", quiet=True).frame()
    assert list(frame["key"]) == keys
    assert list(frame["accuracy"][1:]) == list(range(26))
    assert frame["reason"][0] == f"error: table.json has no result of topology {keys[0]}"


SCORE = """
import time

def score(topology, *, seed, report):
    for epoch in range(4):
        report({"accuracy": int(topology.key[:4], 16) + epoch})
        time.sleep(0.05)
"""


def test_a_function_is_searched_and_stopped_early(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCORE)
    data = scripted.space(blocks=3, trials=12, early_stopping={"rule": "asha", "grace": 1, "reduction": 2}).to_dict()
    space = SearchSpace.from_dict(data | {"task": {"of": "digits", "function": f"{tmp_path}/mine.py:score"}})
    frame = search(space, root=tmp_path, slots=2, quiet=True).frame()
    assert set(frame["state"]) == {"COMPLETE", "PRUNED"}
    for row in frame.itertuples():
        assert row.accuracy == int(row.key[:4], 16) + row.epochs - 1
        assert (row.epochs == 4) or row.state == "PRUNED"


@pytest.mark.slow
@needs_table
def test_nas_bench_macro_is_searched_exhaustively(cluster: None, tmp_path: Path) -> None:
    """3,969 evaluations with Ray and a storage: each key once, and the published optimum is found."""
    run = search(
        SearchSpace.load("nas_bench_macro", table=TABLE), root=tmp_path, trials=10**5, sampler="exhaustive", quiet=True
    )
    frame = run.frame()
    assert list(frame["state"]) == ["COMPLETE"] * 3969
    assert frame["key"].is_unique
    assert frame["accuracy"].max() == pytest.approx(93.127, abs=1e-3)
    assert run.best().key == references.nas_bench_macro("22212220").key


# ---------------------------------------------------------------------------------------------------------- the machine


def test_every_event_of_a_search_is_logged(cluster: None, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    run = run_search(scripted.space(blocks=2, baselines=["plain"]), tmp_path, name="mine", trials=3, log_json=events)
    told = [json.loads(line) for line in events.read_text().splitlines()]
    kinds = Counter(line["event"] for line in told)
    trials = len(run.frame())
    assert (kinds["search_began"], kinds["search_ended"]) == (1, 1)
    assert (kinds["started"], kinds["ended"], kinds["epoch"]) == (trials, trials, 2 * trials)
    assert told[-1]["reason"] == "all trials are finished"
    keys = {line["trial"]: line["key"] for line in told if line["event"] == "ended"}
    assert keys == dict(zip(run.frame()["trial"], run.frame()["key"], strict=True))


def test_a_log_that_cannot_be_written_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the log of events cannot be written"):
        search(scripted.space(), name="mine", root=tmp_path, log_json=tmp_path / "none" / "events")
    assert not (tmp_path / "mine").exists()


def test_a_logger_without_its_package_leaves_no_run_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.searching.loggers.importlib.util.find_spec", lambda name: None)
    with pytest.raises(SpaceError, match=r"pip install 'skipnas\[wandb\]'"):
        search(scripted.space(log_to="wandb"), name="mine", root=tmp_path)
    assert not (tmp_path / "mine").exists()


# ------------------------------------------------------------------------------------- what a person does in the study


def test_a_trial_that_a_person_fails_ends_and_its_slot_goes_on(cluster: None, tmp_path: Path) -> None:
    log, seconds = tmp_path / "log", []

    def fail_the_first_and_then_stop() -> None:
        """Fail the first trial that reports an epoch, as the button of the dashboard does; stop once the next began."""
        while not (tmp_path / "mine" / "run.yaml").is_file():
            time.sleep(0.05)
        study = Run.open("mine", tmp_path).study
        while not any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
            time.sleep(0.05)
        study.tell(0, state=TrialState.FAIL)
        failed = time.monotonic()
        while log.read_text().count("begin") < 2:
            time.sleep(0.05)
        seconds.append(time.monotonic() - failed)
        study.set_user_attr("stop", True)

    person = threading.Thread(target=fail_the_first_and_then_stop, daemon=True)
    person.start()
    script = {"epochs": 1000, "seconds": 0.1, "log": log}  # one training takes 100 s
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", said := io.StringIO())
        run = run_search(scripted.space(), tmp_path, script=script, name="mine", trials=2, slots=1, time="60s")
    person.join()
    assert seconds[0] < 15  # about three on a quiet machine: a look every two seconds, then a new process
    assert states(run) == {"FAIL": 1, "WAITING": 1}
    assert run.frame()["reason"][0] == "stopped by a person"
    assert "trial 0  stopped by a person" in said.getvalue()
    assert "mine: stopped by a person; nas search --resume mine goes on" in said.getvalue()
