"""One candidate: repeatable, judged on the validation split alone, and gone when the next one comes."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import math
import resource
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import nas.network
import nas.training.evaluate
from nas import tasks
from nas.errors import Diverged, OutOfMemory, TaskError
from nas.tasks import Split, Splits
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from nas.training import malloc
from nas.training.evaluate import Evaluator

TASK = tasks.get("digits")
RECIPE = Recipe(epochs=2, batch_size=64)


def topology(*kinds: str, op: str = "conv", width: int = 8, outputs: int = 10) -> Topology:
    blocks = tuple(Block(op, width, skips=None if kind == "none" else Skip(kind)) for kind in kinds)
    return Topology((1, 8, 8), Stem("conv3x3", 8, {"stride": 2}), blocks, Head("classify"), outputs)


SMALL = topology("add", "concat")


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(TASK, RECIPE)


def bits(evaluator: Evaluator) -> list[bytes]:
    assert evaluator.network is not None
    return [tensor.numpy().tobytes() for tensor in evaluator.network.state_dict().values()]


def test_start_yields_a_record_an_epoch(evaluator: Evaluator) -> None:
    curve = list(evaluator.start(SMALL, seed=0))
    assert [record["epoch"] for record in curve] == [1, 2] and evaluator.epochs == 2
    assert set(curve[0]) == {"epoch", "train_loss", "train_accuracy", "loss", "accuracy", "seconds"}
    assert evaluator.result.curve == curve
    assert evaluator.result.metrics == {k: v for k, v in curve[-1].items() if k not in ("epoch", "seconds")}
    assert evaluator.measured["seconds"] == pytest.approx(sum(record["seconds"] for record in curve))
    assert evaluator.measured["samples_per_second"] == pytest.approx(2 * 1024 / evaluator.measured["seconds"])


def test_evaluate_is_start_to_the_end(evaluator: Evaluator) -> None:
    heard: list[float] = []
    result = evaluator.evaluate(SMALL, seed=3, report=lambda record: heard.append(record["epoch"]))
    assert heard == [1, 2] and result.network is evaluator.network
    parameters = sum(p.numel() for p in result.network.parameters())  # type: ignore[union-attr]
    assert parameters == 1 * 8 * 9 + 16 + 8 * 8 * 9 + 16 + 8 * 8 * 9 + 16 + 16 * 10 + 10


@pytest.mark.parametrize("op", ["conv", "basic", "preact"])
def test_same_seed_same_bits_whatever_came_before(evaluator: Evaluator, op: str) -> None:
    candidate = topology("add", "concat", "gate", "mul", "none", op=op)
    one = evaluator.evaluate(candidate, seed=7)
    first = bits(evaluator)
    other = evaluator.evaluate(candidate, seed=8)
    assert bits(evaluator) != first and other.metrics != one.metrics
    torch.rand(100)  # somebody else draws random numbers
    two = evaluator.evaluate(candidate, seed=7)
    assert bits(evaluator) == first and two.metrics == one.metrics


def test_same_seed_same_bits_in_another_process(evaluator: Evaluator) -> None:
    here = evaluator.evaluate(SMALL, seed=5).metrics
    program = (
        "import json, sys\nfrom nas import tasks\nfrom nas.training import Evaluator\n"
        "from nas.tasks.recipe import Recipe\n"
        "from nas.topology import Topology\n"
        "topology = Topology.from_dict(json.loads(sys.argv[1]))\n"
        "made = Evaluator(tasks.get('digits'), Recipe(epochs=2, batch_size=64))\n"
        "print(json.dumps(made.evaluate(topology, seed=5).metrics))"
    )
    command = [sys.executable, "-c", program, json.dumps(SMALL.to_dict())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == here


def test_the_tasks_recipe_is_the_default() -> None:
    assert Evaluator(TASK).recipe == TASK.recipe


def test_the_test_split_decides_nothing(evaluator: Evaluator) -> None:
    splits = TASK.load()
    noise = Split(splits.test.inputs * np.nan, splits.test.targets)
    poisoned = dataclasses.replace(TASK, load=lambda: Splits(splits.train, splits.validation, noise))
    other = Evaluator(poisoned, RECIPE)
    assert other.evaluate(SMALL, seed=0).metrics == evaluator.evaluate(SMALL, seed=0).metrics
    assert math.isnan(other.test()["loss"]) and not math.isnan(evaluator.test()["loss"])


def test_test_scores_the_trained_network(evaluator: Evaluator) -> None:
    evaluator.evaluate(SMALL, seed=0)
    assert evaluator.network is not None
    split = TASK.load().test
    with torch.no_grad():
        logits = evaluator.network.eval()(torch.from_numpy(split.inputs))
    right = (logits.argmax(1).numpy() == split.targets).mean()
    assert evaluator.test()["accuracy"] == pytest.approx(right)


def test_nothing_to_test_is_an_error() -> None:
    with pytest.raises(TaskError, match="must be trained before"):
        Evaluator(TASK, RECIPE).test()


def test_a_topology_of_another_task_is_refused(evaluator: Evaluator) -> None:
    with pytest.raises(TaskError, match=r"digits has \(input, outputs\) \(\(1, 8, 8\), 10\), but .* 7\)"):
        evaluator.evaluate(topology("add", outputs=7), seed=0)


def test_a_report_may_stop_the_training(evaluator: Evaluator) -> None:
    class Stop(Exception):
        pass

    def stop(record: dict[str, float]) -> None:
        raise Stop

    with pytest.raises(Stop):
        evaluator.evaluate(SMALL, seed=0, report=stop)
    assert len(evaluator.result.curve) == 1 and evaluator.network is not None


def test_divergence_ends_one_candidate_only() -> None:
    evaluator = Evaluator(TASK, Recipe(lr=1e6, epochs=3))
    with pytest.raises(Diverged):
        evaluator.evaluate(SMALL, seed=0)
    evaluator.recipe = RECIPE
    assert evaluator.evaluate(SMALL, seed=0).metrics["accuracy"] > 0.1


# ------------------------------------------------------------------------------------------------------- out of memory


def _exhaust_cpu(_: object, init: str = "he") -> torch.nn.Module:
    torch.empty(2**60, dtype=torch.uint8)  # what torch really says when the host's memory runs out
    raise AssertionError


def _exhaust_gpu(_: object, init: str = "he") -> torch.nn.Module:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def _exhaust_python(_: object, init: str = "he") -> torch.nn.Module:
    raise MemoryError


def _other(_: object, init: str = "he") -> torch.nn.Module:
    raise RuntimeError("shape '[2]' is invalid for input of size 3")


@pytest.mark.parametrize("exhaust", [_exhaust_cpu, _exhaust_gpu, _exhaust_python])
def test_out_of_memory_is_told_apart(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, exhaust: object) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(nas.training.evaluate, "build", exhaust)
        with pytest.raises(OutOfMemory) as caught:
            evaluator.evaluate(SMALL, seed=0)
    assert "\n" not in str(caught.value) and caught.value.__context__ is None
    assert evaluator.evaluate(SMALL, seed=0).metrics["accuracy"] > 0.1


def test_other_runtime_errors_stay_what_they_are(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training.evaluate, "build", _other)
    with pytest.raises(RuntimeError, match="is invalid for input"):
        evaluator.evaluate(SMALL, seed=0)


def test_memory_that_runs_out_in_the_middle_is_given_back(evaluator: Evaluator) -> None:
    epochs = evaluator.start(SMALL, seed=0)
    next(epochs)
    network = weakref.ref(evaluator.network)
    evaluator.network.blocks[0].register_forward_pre_hook(lambda *_: _exhaust_cpu(None))  # type: ignore[union-attr,index]
    with pytest.raises(OutOfMemory):
        next(epochs)
    del epochs
    assert evaluator.network is None and network() is None


# ----------------------------------------------------------------------------------------------- nothing is left behind


def _candidates(count: int) -> list[Topology]:
    """All different, at least as long as there are no more than 500."""
    kinds, ops = ("none", "add", "concat", "gate", "mul"), ("conv", "preact", "basic", "double_conv")
    every = itertools.product(kinds, kinds, kinds, ops)
    return [topology(*three, op=op, width=32) for *three, op in itertools.islice(every, count)]


def test_a_candidate_is_gone_when_the_next_one_starts(evaluator: Evaluator) -> None:
    evaluator.evaluate(SMALL, seed=0)
    gone = [weakref.ref(evaluator.network), *(weakref.ref(p) for p in evaluator.network.parameters())]  # type: ignore[union-attr]
    gc.disable()  # by reference counts alone: no cycle keeps a network
    try:
        next(evaluator.start(topology("add"), seed=0))
        assert all(reference() is None for reference in gone)
    finally:
        gc.enable()


def _tensors() -> int:
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_tensors_do_not_pile_up() -> None:
    evaluator, counts = Evaluator(TASK, Recipe(epochs=1, batch_size=256)), {}
    for number, candidate in enumerate(_candidates(20)):
        evaluator.evaluate(candidate, seed=0)
        if number in (4, 19):
            evaluator.release()
            counts[number] = _tensors()
    assert counts[4] == counts[19]


def _held_bytes() -> int:
    """What this process keeps in memory when all that is free has gone back to the system."""
    gc.collect()
    malloc.return_freed_memory()
    return _rss()


def _rss() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


glibc_only = pytest.mark.skipif(malloc._glibc() is None, reason="asks glibc")


@glibc_only
def test_a_step_finds_its_memory_where_the_last_one_left_it() -> None:
    evaluator, faults = Evaluator(TASK, Recipe(epochs=4, batch_size=64)), []
    activation = 64 * 64 * 4 * 4 * 4
    for _ in evaluator.start(topology("add", "concat", width=64), seed=0):
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    epochs = [after - before for before, after in itertools.pairwise(faults)]
    assert min(epochs) < activation // resource.getpagesize()  # in 16 steps and a validation
    before = _rss()
    evaluator.release()
    assert before - _rss() > 4 * activation


@glibc_only
@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_many_candidates_leave_no_more_than_five(count: int) -> None:
    """Trained to the end, stopped after an epoch, or out of memory: 1 MiB of weights, gradients and momentum each."""
    evaluator, held = Evaluator(TASK, Recipe(epochs=2, batch_size=512)), {}
    for number, candidate in enumerate(_candidates(count), 1):
        epochs = evaluator.start(candidate, seed=0)
        next(epochs)
        if number % 3 == 0:
            epochs.close()
        elif number % 3 == 1:
            assert len(list(epochs)) == 1
        else:
            assert evaluator.network is not None
            evaluator.network.register_forward_pre_hook(lambda *_: _exhaust_cpu(None))
            with pytest.raises(OutOfMemory):
                next(epochs)
        if number in (5, count):
            evaluator.release()
            held[number] = _held_bytes()
    assert held[count] - held[5] < 16 * 2**20  # one kind of the three alone would leave 18 MiB


@pytest.mark.parametrize("init", ["he", "torch", "zero_residual"])
def test_a_network_starts_as_the_recipe_says(init: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(topology: Topology, init: str) -> torch.nn.Module:
        asked.append(init)
        return nas.network.build(topology, init=init)

    monkeypatch.setattr(nas.training.evaluate, "build", build)
    evaluator = Evaluator(tasks.get("digits"), Recipe.model_validate({"epochs": 1, "init": init}))
    evaluator.evaluate(SMALL, seed=0)
    assert asked == [init]


def test_two_trainings_of_narrow_networks_in_turns(evaluator: Evaluator) -> None:
    """oneDNN is off while either of them trains, and on in between (see nas.network.onednn)."""
    narrow = Topology((1, 8, 8), Stem("conv3x3", 4), (Block("basic", 4, 2, Skip("add")),), Head("classify"), 10)
    other = Evaluator(tasks.get("digits"), Recipe(epochs=2))
    one, two = other.start(narrow, seed=0), evaluator.start(narrow, seed=0)
    for records in (one, two, one):
        next(records)
        assert torch.backends.mkldnn.enabled
    one.close()  # type: ignore[attr-defined]
    two.close()  # type: ignore[attr-defined]
