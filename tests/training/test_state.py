"""A training that goes on from a checkpoint is to the bit one that never stopped; a foreign checkpoint is ignored."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

import nas.training.evaluate
from nas import tasks
from nas.network import build
from nas.tasks import Split, Splits, Stream, Task
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from nas.training.evaluate import Evaluator

EPOCHS = 3
BLOCKS = (
    Block("basic", 8, skips=Skip("add")),
    Block("conv", 8, skips=Skip("gate")),
    Block("preact", 8, skips=Skip("concat")),
)
SMALL = Topology((1, 8, 8), Stem("conv3x3", 8, {"stride": 2}), BLOCKS, Head("classify"), 10)
ATTENTION = Topology(
    (1, 8, 8),
    Stem("patch", 16, {"patch": 2}),
    (Block("attention", 16, skips=Skip("add")), Block("feed_forward", 16, skips=Skip("add"))),
    Head("class_token"),
    10,
)


def some_digits() -> Splits:
    splits = tasks.get("digits").load()
    assert isinstance(splits.train, Split)
    few = Split(splits.train.inputs[:256], splits.train.targets[:256])
    return dataclasses.replace(splits, train=few)


DIGITS = dataclasses.replace(tasks.get("digits"), load=some_digits)


def pixels(row: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    drawn = np.random.RandomState(row).randint(0, 256, (1, 8, 8), dtype=np.uint8)
    return drawn, np.array(row % 10)


def streams() -> Splits:
    return Splits(*(Stream(pixels, samples, (0.5,), (0.25,)) for samples in (80, 20, 20)))


STREAMED = Task("stripes", (1, 8, 8), 10, streams)


def recipe(**changes: Any) -> Recipe:
    return Recipe(**{"epochs": EPOCHS, "batch_size": 64, "lr": 0.05} | changes)


def bits(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def trained(evaluator: Evaluator) -> tuple[list[dict[str, float]], dict[str, bytes]]:
    """Return the curve without its seconds, and the bits of the weights."""
    assert evaluator.network is not None
    curve = [{name: value for name, value in one.items() if name != "seconds"} for one in evaluator.result.curve]
    return curve, bits(evaluator.network.state_dict())


def stopped(evaluator: Evaluator, topology: Topology, epochs: int, seed: int = 3) -> bytes:
    """Return the checkpoint after some epochs of a training that is then stopped."""
    records = evaluator.start(topology, seed=seed)
    for _ in range(epochs):
        next(records)
    checkpoint = evaluator.checkpoint()
    records.close()  # type: ignore[attr-defined]
    assert checkpoint is not None
    return checkpoint


def follow(evaluator: Evaluator, topology: Topology, checkpoint: bytes, seed: int = 3) -> list[int | float]:
    """Train to the end from a checkpoint, and return the numbers of the epochs."""
    return [record["epoch"] for record in evaluator.start(topology, seed=seed, checkpoint=checkpoint)]


@pytest.mark.parametrize(
    ("changes", "task", "topology"),
    [
        ({}, DIGITS, SMALL),
        ({"momentum": 0.0, "grad_clip": 1.0, "init": "zero_residual"}, DIGITS, SMALL),
        ({"optimizer": "adamw", "lr": 0.01}, DIGITS, SMALL),
        ({"flip": True, "translate": 1, "cutout": 2}, DIGITS, SMALL),
        ({"precision": "bf16"}, DIGITS, SMALL),
        ({"memory": "lean"}, DIGITS, SMALL),
        ({"optimizer": "adamw", "lr": 0.01, "memory": "lean"}, DIGITS, ATTENTION),
        ({"drop_path": 0.3}, DIGITS, SMALL),
        ({"batch_size": 32, "translate": 1}, STREAMED, SMALL),
    ],
    ids=["sgd", "clipped", "adamw", "augmented", "bf16", "lean", "attention", "drop_path", "streamed"],
)
def test_a_training_goes_on_to_the_bit(changes: dict[str, Any], task: Task, topology: Topology) -> None:
    """… in another evaluator, where another network was trained before, after each of its epochs."""
    first, second = Evaluator(task, recipe(**changes)), Evaluator(task, recipe(**changes))
    first.evaluate(topology, seed=3)
    whole = trained(first)
    next(second.start(topology, seed=8))
    for epochs in range(1, EPOCHS):
        checkpoint = stopped(first, topology, epochs)
        torch.rand(epochs)  # the generators of the other process have other states
        assert follow(second, topology, checkpoint) == [*range(epochs + 1, EPOCHS + 1)]
        assert trained(second) == whole


class Dropout(nn.Module):
    """Leaves out a fifth of what a block computes, by torch's own generator."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = nn.functional.dropout(self.block(*inputs), 0.2, self.training)
        return result


@pytest.mark.parametrize("task", [DIGITS, STREAMED], ids=["resident", "streamed"])
def test_a_dropout_goes_on_to_the_bit(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_dropout(topology: Topology, init: str) -> nn.Module:
        network = build(topology, init=init)
        network.blocks[1] = Dropout(network.blocks[1])  # type: ignore[index]
        return network

    monkeypatch.setattr(nas.training.evaluate, "build", with_dropout)
    first, second = Evaluator(task, recipe(batch_size=32)), Evaluator(task, recipe(batch_size=32))
    first.evaluate(SMALL, seed=3)
    whole = trained(first)
    checkpoint = stopped(first, SMALL, 2)
    follow(second, SMALL, checkpoint)
    assert trained(second) == whole


def test_a_checkpoint_of_a_continued_training_is_that_of_a_whole_one() -> None:
    first, second = Evaluator(DIGITS, recipe()), Evaluator(DIGITS, recipe())
    records = second.start(SMALL, seed=3, checkpoint=stopped(first, SMALL, 1))
    next(records)
    again, whole = (load(content) for content in (second.checkpoint() or b"", stopped(first, SMALL, 2)))
    for tensors in (again, whole):
        del tensors["notes"]  # which hold seconds
    assert bits(again) == bits(whole)


def test_seconds_go_on() -> None:
    evaluator = Evaluator(DIGITS, recipe())
    checkpoint = stopped(evaluator, SMALL, 2)
    seconds = evaluator.measured["seconds"]
    follow(evaluator, SMALL, checkpoint)
    later = sum(record["seconds"] for record in evaluator.result.curve[2:])
    assert evaluator.measured["seconds"] == pytest.approx(seconds + later)
    assert evaluator.measured["samples_per_second"] == pytest.approx(EPOCHS * 256 / (seconds + later))


def test_waiting_for_data_goes_on() -> None:
    evaluator = Evaluator(STREAMED, recipe(batch_size=32))
    checkpoint = stopped(evaluator, SMALL, 2)
    waited, before = evaluator.measured["waited"], evaluator.data.waited + evaluator.validation.waited
    follow(evaluator, SMALL, checkpoint)
    after = evaluator.data.waited + evaluator.validation.waited
    assert evaluator.measured["waited"] == pytest.approx(waited + after - before)


def test_there_is_a_checkpoint_only_while_a_training_is_under_way() -> None:
    evaluator, seen = Evaluator(DIGITS, recipe(epochs=2)), []
    records = evaluator.start(SMALL, seed=0)
    seen.append(evaluator.checkpoint())
    for _ in records:
        seen.append(evaluator.checkpoint())
    seen.append(evaluator.checkpoint())
    assert [one is not None for one in seen] == [False, True, False, False]


def changed(checkpoint: bytes, change: Callable[[dict[str, Tensor]], object]) -> bytes:
    tensors = load(checkpoint)
    change(tensors)
    return save(tensors)


def shapes(checkpoint: bytes) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in load(checkpoint).items() if name != "notes"}


def renoted(checkpoint: bytes, old: bytes, new: bytes) -> bytes:
    """Return the checkpoint with other notes."""

    def change(tensors: dict[str, Tensor]) -> None:
        notes = tensors["notes"].numpy().tobytes()
        assert old in notes
        tensors["notes"] = torch.frombuffer(bytearray(notes.replace(old, new)), dtype=torch.uint8)

    return changed(checkpoint, change)


FOREIGN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "no safetensors": lambda content: b"\x80\x04" + content,
    "half": lambda content: content[: len(content) // 2],
    "no notes": lambda content: changed(content, lambda tensors: tensors.pop("notes")),
    "no json": lambda content: renoted(content, b"{", b""),
    "deep json": lambda content: renoted(content, b'"seed": 3', b'"seed": ' + b"[" * 10**5),
    "another seed": lambda content: renoted(content, b'"seed": 3', b'"seed": 4'),
    "another recipe": lambda content: renoted(content, b'"lr": 0.05', b'"lr": 0.06'),
    "a wrong curve": lambda content: renoted(content, b'"epoch": 1', b'"epoch": 7'),
    "a curve of text": lambda content: renoted(content, b'"epoch": 1', b'"epoch": "one"'),
    "a tensor less": lambda content: changed(content, lambda tensors: tensors.pop("optimiser.0")),
    "a tensor more": lambda content: changed(content, lambda tensors: tensors.update(more=torch.zeros(1))),
    "a larger tensor": lambda content: changed(
        content, lambda tensors: tensors.update({"optimiser.0": torch.zeros(9, 9)})
    ),
    "integers": lambda content: changed(
        content, lambda tensors: tensors.update({"optimiser.0": tensors["optimiser.0"].long()})
    ),
    "no generator": lambda content: changed(content, lambda tensors: tensors["order"].fill_(255)),
}


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(DIGITS, recipe(epochs=2))


@functools.cache
def from_scratch() -> Any:
    evaluator = Evaluator(DIGITS, recipe(epochs=2))
    evaluator.evaluate(SMALL, seed=3)
    return trained(evaluator)


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_checkpoint_that_does_not_fit_is_ignored(evaluator: Evaluator, foreign: Callable[[bytes], bytes]) -> None:
    assert follow(evaluator, SMALL, foreign(stopped(evaluator, SMALL, 1))) == [1, 2]
    assert trained(evaluator) == from_scratch()


def test_a_checkpoint_of_another_topology_is_ignored(evaluator: Evaluator) -> None:
    """… even if it has the same tensors."""
    other = dataclasses.replace(SMALL, blocks=(Block("basic", 8, skips=Skip("mul")), *SMALL.blocks[1:]))
    foreign, own = (stopped(evaluator, topology, 1) for topology in (other, SMALL))
    assert shapes(foreign) == shapes(own)
    assert follow(evaluator, SMALL, foreign) == [1, 2]
    assert trained(evaluator) == from_scratch()
