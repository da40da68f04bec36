"""The searcher of Tune, without Ray: its suggestions, and the outcomes that it tells the session."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def searcher(root: Path, machine: Machine, **options: Any) -> SessionSearcher:
    run = Run.open("run", root) if (root / "run").exists() else Run.create(scripted.space(), "run", root)
    return SessionSearcher(Session(run, scripted.price, 5), machine, **options)


def test_a_searcher_asks_for_no_more_than_fits(tmp_path: Path) -> None:
    """Two GPUs hold four candidates that take half of a GPU each, or three if no more are wanted."""
    for most, number in ((8, 4), (3, 3)):
        asking = searcher(tmp_path, Machine(Device(4, GIB, GIB // 3), (4, 4), most, cores=1, gpu=True))
        suggested = [asking.suggest(f"trial {number}") for number in range(6)]
        asking.session.close()
        assert [suggestion["slots"] for suggestion in suggested if suggestion is not None] == [2] * number
        assert suggested[number:] == [None] * (6 - number)


def test_a_candidate_that_waits_for_its_retry_survives_the_search(tmp_path: Path) -> None:
    machine = Machine(Device(4, GIB, GIB // 3), (4,), 4, cores=1, gpu=True)
    first = searcher(tmp_path, machine)
    seed = first.suggest("a"), first.suggest("b")
    assert first.suggest("c") is None
    short_of_memory = first.candidate("a")
    first.trainings["a"].curve.append({"epoch": 1, "accuracy": 0.5})
    first.trial_ended(result("a", CandidateTrainable.OUT_OF_MEMORY, reason="no more", gpu_memory=None))
    assert first.placements.waiting == [short_of_memory]
    assert short_of_memory.slots == 4
    assert first.suggest("d") is None  # there is no room beside b, and no other candidate is asked for
    first.session.close()
    again = searcher(tmp_path, machine)
    assert again.session.finished == 0
    assert [again.suggest(name) for name in "ab"] == list(seed)  # sharing the GPU again
    again.trial_ended(result("b", CandidateTrainable.FAILED, reason="error: no"))
    again.trial_ended(result("a", CandidateTrainable.OUT_OF_MEMORY, reason="no more", gpu_memory=None))
    assert again.suggest("e") == {**seed[0], "slots": 4}
    again.trial_ended(result("e", CandidateTrainable.OUT_OF_MEMORY, reason="still no more", gpu_memory=None))
    again.session.close()
    trials = again.session.run.study.get_trials()
    reasons = {recorded(trial).get("reason") for trial in trials}
    needs = scripted.price(short_of_memory.topology)["memory"]
    alone = f"out of memory: predicted {needs:,} bytes, alone on a GPU with 1,073,741,824 bytes: still no more"
    assert reasons == {"error: no", alone}


def test_a_process_that_ray_killed_to_free_memory_is_out_of_memory(tmp_path: Path) -> None:
    hit = searcher(tmp_path, divide_into_slots([{"CPU": 2.0}], ResourceRequest(), 60))
    suggested = hit.suggest("a")
    files = {"error_file": tmp_path / "error", "pickled_error_file": None}
    files["error_file"].write_text("1 worker(s) were killed due to the node running low on memory.")
    hit.trial_crashed(SimpleNamespace(trial_id="a", **files))  # type: ignore[arg-type]
    assert hit.suggest("b") == {**suggested, "slots": 2}
    hit.trial_crashed(SimpleNamespace(trial_id="b", **files))  # type: ignore[arg-type]
    hit.session.close()
    [trial] = hit.session.run.study.get_trials()
    assert recorded(trial)["reason"].endswith(" bytes, alone on a node: the machine had none left")
