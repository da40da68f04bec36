"""A step is recorded once and replayed: on a stand-in for CUDA graphs that records ops with the memory they work on."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from nas import tasks
from nas.errors import OutOfMemory
from nas.network import build
from nas.network.samples import sample_inputs
from nas.tasks import Splits
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from nas.training import capture
from nas.training.capture import CapturedStep, Computation, CudaGraph
from nas.training.data import ResidentBatches
from nas.training.evaluate import Evaluator
from nas.training.loop import train
from tests.helpers.syncs import Syncs
from tests.helpers.tape import Tape
from tests.helpers.topologies import TINY

TASK = tasks.get("digits")
KINDS = ("add", "concat", "gate", "mul")
TOPOLOGY = Topology(
    (1, 8, 8),
    Stem("conv3x3", 8, {"stride": 2}),
    tuple(Block(op, 8, skips=Skip(kind)) for op, kind in zip(("conv", "basic", "preact", "conv"), KINDS, strict=True)),
    Head("classify"),
    10,
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    torch.set_num_threads(1)
    return TASK.load()


def trained(splits: Splits, recipe: Recipe, graph: Any) -> tuple[list[Any], list[Tensor]]:
    torch.manual_seed(0)
    network = build(TOPOLOGY)
    data, validation = ResidentBatches.of(splits.train, "cpu"), ResidentBatches.of(splits.validation, "cpu")
    curve = list(train(network, data, validation, TASK, recipe, seed=0, graph=graph))
    return [{**record, "seconds": 0} for record in curve], list(network.state_dict().values())


def assert_as_without(splits: Splits, recipe: Recipe, graph: Any) -> None:
    (curve, state), (expected, weights) = trained(splits, recipe, graph), trained(splits, recipe, None)
    assert curve == expected
    assert all(torch.equal(a, b) for a, b in zip(state, weights, strict=True))


RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw": {"optimizer": "adamw", "lr": 0.01},
    "clipped": {"grad_clip": 0.5},
    "bf16": {"precision": "bf16"},
    "lean": {"memory": "lean"},
    "augmented": {"flip": True, "translate": 1, "cutout": 2},
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_replayed_training_is_the_training_to_the_bit(splits: Splits, name: str) -> None:
    tape = Tape()
    assert_as_without(splits, Recipe(epochs=2, batch_size=128, **RECIPES[name]), tape)
    assert (tape.warmed, tape.replays) == (CapturedStep.WARM_UP_CALLS, 2 * 8 - CapturedStep.WARM_UP_CALLS)


def test_the_tape_does_not_hear_what_python_does() -> None:
    """It would not be a test if whatever a step reads reached it."""
    total, rate = torch.zeros(()), [1.0]

    def step(x: Tensor) -> Tensor:
        total.add_(x * rate[0])
        return total + 0

    advance = CapturedStep(step, Tape(), torch.nn.Identity())
    assert [float(advance(torch.tensor(float(x)))) for x in (1, 2, 3, 4, 5)] == [1, 3, 6, 10, 15]
    rate[0] = 100.0
    assert float(advance(torch.tensor(6.0))) == 21


@pytest.mark.parametrize("breaks_at", ["convolution", "convolution_backward", "_fused_sgd_"])
def test_what_cannot_be_recorded_goes_on_step_by_step(splits: Splits, breaks_at: str) -> None:
    tape = Tape(breaks_at)
    with pytest.warns(UserWarning, match="no CUDA graph.*not permitted"):
        assert_as_without(splits, Recipe(epochs=1, batch_size=128), tape)
    assert tape.replays == 0


def test_a_short_training_is_never_recorded(splits: Splits) -> None:
    tape = Tape()
    assert_as_without(splits, Recipe(epochs=1, batch_size=400), tape)
    assert (tape.warmed, tape.replays) == (2, 0)


@pytest.mark.parametrize("name", TINY)
def test_no_network_makes_the_host_wait_for_the_device(name: str) -> None:
    """A step that waits could not be captured."""
    topology = TINY[name]
    network, inputs = build(topology), sample_inputs(topology, 4)
    with Syncs() as probe:
        network(inputs).square().mean().backward()
    assert probe.count == 0


# ------------------------------------------------------------------------------------------------------- the evaluator


@pytest.mark.parametrize(("breaks_at", "share"), [("", 13 / 16), ("convolution", 0)])
@pytest.mark.filterwarnings("ignore:no CUDA graph")
def test_the_record_says_how_much_was_replayed(monkeypatch: pytest.MonkeyPatch, breaks_at: str, share: float) -> None:
    monkeypatch.setattr(Evaluator, "_graph", lambda self: Tape(breaks_at))
    evaluator = Evaluator(TASK, Recipe(epochs=2, batch_size=128))
    assert evaluator.evaluate(TOPOLOGY, seed=0).measured["replayed"] == share
    monkeypatch.undo()
    assert "replayed" not in evaluator.evaluate(TOPOLOGY, seed=0).measured


def test_memory_that_runs_out_while_recording_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Tape):
        def record(self, computation: Computation) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(Evaluator, "_graph", lambda self: Full())
    with pytest.raises(OutOfMemory, match="Tried to allocate"):
        Evaluator(TASK, Recipe(epochs=1)).evaluate(TOPOLOGY, seed=0)


def test_a_graph_goes_with_its_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Tape]] = []

    def graph(self: Evaluator) -> Tape:
        tape = Tape()
        made.append(weakref.ref(tape))
        return tape

    monkeypatch.setattr(Evaluator, "_graph", graph)
    evaluator = Evaluator(TASK, Recipe(epochs=2, batch_size=128))
    evaluator.evaluate(TOPOLOGY, seed=0)
    epochs = evaluator.start(TOPOLOGY, seed=0)
    next(epochs)
    assert [reference() is None for reference in made] == [True, False]
    epochs.close()  # as a candidate that is stopped early
    assert made[1]() is None


# ----------------------------------------------------------------------------------------------------- CUDA's own graph


class Cuda:
    """What CudaGraph asks of torch.cuda, written down."""

    def __init__(self, fails: bool = False) -> None:
        self.said: list[str] = []
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.said.append(" ".join([name, *map(str, options.values())]))
            if name == "capture_end" and self.fails:
                raise RuntimeError("operation failed due to a previous error during capture")
            return self

        return call

    @contextlib.contextmanager
    def stream(self, other: Any) -> Iterator[None]:
        self.said.append("aside")
        try:
            yield
        finally:
            self.said.append("back")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    cuda = Cuda()
    monkeypatch.setattr(torch, "cuda", cuda)
    capture._recording_stream.cache_clear()
    yield cuda
    capture._recording_stream.cache_clear()


def test_cuda_graph_records_aside_after_all_that_came_before(cuda: Cuda) -> None:
    graph = CudaGraph(torch.device("cuda"))
    cuda.said.clear()
    assert graph.warm_up(lambda: torch.ones(1)) == 1
    assert cuda.said == ["current_stream", "Stream", "wait_stream", "aside", "back", "wait_stream"]
    cuda.said.clear()
    assert graph.record(lambda: torch.ones(1)) == 1
    expected = ["synchronize", "empty_cache", "aside", "capture_begin thread_local", "capture_end", "back"]
    assert cuda.said == expected  # and the stream is the same one
    graph.replay()
    assert cuda.said[-1] == "replay" and graph.replays == 1


def test_cuda_graph_ends_a_capture_that_failed_and_says_why(cuda: Cuda) -> None:
    def computation() -> Tensor:
        raise torch.OutOfMemoryError("the cause")

    cuda.fails = True
    with pytest.raises(torch.OutOfMemoryError, match="the cause"):
        CudaGraph(torch.device("cuda")).record(computation)
    assert cuda.said[-2:] == ["capture_end", "back"]
    with pytest.raises(RuntimeError, match="previous error"):
        CudaGraph(torch.device("cuda")).record(lambda: torch.ones(1))
    assert cuda.said[-1] == "back"
