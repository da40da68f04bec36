"""The searcher of Tune, without Ray: its suggestions, and the outcomes that it tells the session."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from nas.errors import Lost
from nas.searching import searcher as module
from nas.searching.cluster import Cluster
from nas.searching.packing import Device
from nas.searching.searcher import SessionSearcher
from nas.searching.session import Session
from nas.searching.slots import Machine, ResourceRequest, divide_into_slots
from nas.searching.trainable import CandidateTrainable
from nas.study import Run
from nas.study.attributes import recorded
from tests.helpers import scripted

GIB = 2**30


def result(trial_id: str, end: str, **more: Any) -> Any:
    """Return a stand-in for a Tune trial that has ended."""
    return SimpleNamespace(trial_id=trial_id, error_file=None, last_result={"end": end} | more)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proposals are waited for, however busy the machine is."""
    monkeypatch.setattr(module, "PATIENCE_S", 60)


def searcher(root: Path, machine: Machine, **options: Any) -> SessionSearcher:
    run = Run.open("run", root) if (root / "run").exists() else Run.create(scripted.space(), "run", root)
    return SessionSearcher(Session(run, scripted.price, 5), Cluster(machine), **options)


def test_a_searcher_asks_for_no_more_than_fits(tmp_path: Path) -> None:
    """Two GPUs hold four candidates that take half of a GPU each, or three if no more are wanted."""
    for most, number in ((8, 4), (3, 3)):
        asking = searcher(tmp_path, Machine(Device(4, GIB, GIB // 3), 1, True, most, {"node 0": 4, "node 1": 4}))
        suggested = [asking.suggest(f"trial {number}") for number in range(6)]
        asking.session.close()
        assert [suggestion["slots"] for suggestion in suggested if suggestion is not None] == [2] * number
        assert suggested[number:] == [None] * (6 - number)


def test_a_candidate_that_waits_for_its_retry_survives_the_search(tmp_path: Path) -> None:
    machine = Machine(Device(4, GIB, GIB // 3), 1, True, 4, {"node 0": 4})
    first = searcher(tmp_path, machine)
    seed = first.suggest("a"), first.suggest("b")
    assert first.suggest("c") is None
    short_of_memory = first.candidate("a")
    first.trainings["a"].curve.append({"epoch": 1, "accuracy": 0.5})
    first.trial_ended(result("a", CandidateTrainable.OUT_OF_MEMORY, reason="no more", gpu_memory=None))
    assert first.cluster.placements.waiting == [short_of_memory]
    assert short_of_memory.slots == 4
    assert first.suggest("d") is None  # there is no room beside b, and no other candidate is asked for
    first.session.close()
    again = searcher(tmp_path, machine)
    assert again.session.finished == 0
    assert [again.suggest(name) for name in "ab"] == list(seed)  # sharing the GPU again
    again.trial_ended(result("b", CandidateTrainable.FAILED, reason="error: no"))
    again.trial_ended(result("a", CandidateTrainable.OUT_OF_MEMORY, reason="no more", gpu_memory=None))
    assert again.suggest("e") == {**seed[0], "slots": 4, "process": 2}
    again.trial_ended(result("e", CandidateTrainable.OUT_OF_MEMORY, reason="still no more", gpu_memory=None))
    again.session.close()
    trials = again.session.run.study.get_trials()
    reasons = {recorded(trial).get("reason") for trial in trials}
    needs = scripted.price(short_of_memory.topology)["memory"]
    alone = f"out of memory: predicted {needs:,} bytes, alone on a GPU with 1,073,741,824 bytes: still no more"
    assert reasons == {"error: no", alone}


def test_a_process_that_ray_killed_to_free_memory_is_out_of_memory(tmp_path: Path) -> None:
    hit = searcher(tmp_path, divide_into_slots({"node": {"CPU": 2.0}}, ResourceRequest(), 60))
    suggested = hit.suggest("a")
    files = {"error_file": tmp_path / "error", "pickled_error_file": None}
    files["error_file"].write_text("1 worker(s) were killed due to the node running low on memory.")
    hit.trial_crashed(SimpleNamespace(trial_id="a", **files))  # type: ignore[arg-type]
    assert hit.suggest("b") == {**suggested, "slots": 2, "process": 1}
    hit.trial_crashed(SimpleNamespace(trial_id="b", **files))  # type: ignore[arg-type]
    hit.session.close()
    [trial] = hit.session.run.study.get_trials()
    assert recorded(trial)["reason"].endswith(" bytes, alone on a node: the machine had none left")


def test_a_candidate_of_a_node_that_cannot_train_goes_to_another(tmp_path: Path) -> None:
    lines: list[str] = []
    hit = searcher(tmp_path, Machine(Device(), 1, True, None, {"a 0": 1, "b 0": 1}))
    hit.session.observers = (SimpleNamespace(**observer(lines)),)
    first, second = hit.suggest("1"), hit.suggest("2")
    assert (first["node"], second["node"]) == ("a", "b")
    hit.trial_ended(result("1", CandidateTrainable.NO_EVALUATOR, reason="no data"))
    assert lines == ["a cannot train, it is asked again in 60 s: no data"]
    assert hit.suggest("3") is None  # b is taken
    hit.trial_ended(result("2", CandidateTrainable.FAILED, reason="error: no"))
    assert hit.suggest("4") == {**first, "node": "b", "process": 1}
    hit.trial_ended(result("4", CandidateTrainable.NO_EVALUATOR, reason="no data either"))
    hit.check()
    assert str(hit.error) == "no candidate can be trained: no data (on a, b)"
    hit.session.close()
    states = [trial.state.name for trial in hit.session.run.study.get_trials()]
    assert states == ["WAITING", "FAIL"]


def test_a_candidate_whose_process_dies_goes_elsewhere_and_fails_in_the_end(tmp_path: Path) -> None:
    hit = searcher(tmp_path, Machine(Device(), 1, True, None, {"a 0": 1, "b 0": 1}), retries=3)
    crash: Any = {"error_file": tmp_path / "error", "pickled_error_file": None}
    crash["error_file"].write_text("Worker exit detail: killed by SIGKILL.")
    first = hit.suggest("1")
    assert first["node"] == "a"
    nodes = []
    for number in "123":
        hit.trainings[number].began = 1.0
        hit.trial_crashed(SimpleNamespace(trial_id=number, **crash))  # type: ignore[arg-type]
        suggestion = hit.suggest(str(int(number) + 1))
        nodes.append(suggestion["node"])
    assert nodes[0] == "b"  # then it avoids both, and any will do
    hit.session.close()
    reasons = {recorded(trial).get("reason") for trial in hit.session.run.study.get_trials()}
    assert f"{Lost.reason} 3 times: killed by SIGKILL." in reasons


@pytest.mark.parametrize("last", [{"trial_id": "1"}, {"trial_id": "1", "done": False, "time_total_s": 0.0}])
def test_a_candidate_whose_node_goes_before_it_began_waits_for_another(tmp_path: Path, last: dict[str, Any]) -> None:
    """Tune makes up a last result of a trial that never had one, with more in it if its process had been started."""
    hit = searcher(tmp_path, Machine(Device(), 1, True, None, {"a 0": 1, "b 0": 1}))
    first = hit.suggest("1")
    hit.trial_ended(SimpleNamespace(trial_id="1", error_file=None, last_result=last))  # type: ignore[arg-type]
    again = hit.suggest("2")
    assert (first["node"], again) == ("a", {**first, "node": "b", "process": 1})
    assert hit.session.finished == 0
    hit.session.close()


def observer(lines: list[str]) -> dict[str, Any]:
    """Return the methods of an observer that keeps what is said of the machines."""
    silent = dict.fromkeys(("started", "epoch_ended", "retried", "ended", "refused", "dismissed"), lambda *_: None)
    return {**silent, "machines_changed": lambda slots, message: lines.append(message)}


def test_a_leader_whose_process_dies_after_its_training_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead() -> None:
        raise ActorDiedError

    lines: list[str] = []
    hit = searcher(tmp_path, Machine(Device(), 1, True, None, {"a 0": 1}))
    hit.session.observers = (SimpleNamespace(**observer(lines)),)
    hit.suggest("1")
    hit.trainings["1"].curve.append({"epoch": 2, "accuracy": 0.5})
    actor = SimpleNamespace(weights=SimpleNamespace(remote=dead))
    monkeypatch.setattr(module, "actor_of", lambda trial: actor)
    hit.trial_ended(result("1", CandidateTrainable.FULL_BUDGET))
    hit.session.close()
    [trial] = hit.session.run.study.get_trials()
    assert trial.state.name == "COMPLETE"
    assert lines[0].startswith("trial 0 is recorded, but its weights are lost with its process")


def test_a_candidate_alone_on_the_largest_device_that_is_left_has_failed(tmp_path: Path) -> None:
    """The device was to have eight slots; four are the most that there are now."""
    hit = searcher(tmp_path, Machine(Device(8, GIB, 0), 1, True, None, {"a 0": 4}))
    hit.suggest("1")
    for number in "12":
        hit.trial_ended(result(number, CandidateTrainable.OUT_OF_MEMORY, reason="no more", gpu_memory=None))
        hit.suggest(str(int(number) + 1))
    hit.session.close()
    assert "FAIL" in [trial.state.name for trial in hit.session.run.study.get_trials()]


@pytest.mark.parametrize("reason", [None, "interrupted"])
def test_ray_that_goes_once_the_search_is_stopped_is_no_error(tmp_path: Path, reason: str | None) -> None:
    """A batch system sends its signal to the processes of Ray as well."""
    machine = Machine(Device(4, GIB, GIB // 3), 1, True, 4, {"node 0": 4})
    made = searcher(tmp_path, machine, stop_reason=lambda: reason)
    made.cluster.watch = SimpleNamespace(elastic=False, lost="Ray's head node does not answer any more", nodes={})
    assert made.must_stop()
    assert (made.error is None) == (reason is not None)
    made.session.close()
