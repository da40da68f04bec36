"""Batches from loader workers are those from memory; nothing is lost on the way, and what is wrong is one line."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.errors import TaskError
from nas.tasks import Array, Split, Splits, Stream, Task
from nas.tasks.recipe import Recipe
from nas.topology.references import resnet
from nas.training.data import ResidentBatches, batches_of
from nas.training.evaluate import Evaluator

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def read(row: int, broken: int = -1) -> tuple[Array, Array]:
    if row == broken:
        raise TaskError(f"picture{row}.jpg is truncated")
    pixels = np.random.RandomState(row).randint(0, 256, (3, 8, 8))
    return pixels.astype(np.uint8), np.asarray(row % 4)


def stream(samples: int = 50, broken: int = -1) -> Stream:
    return Stream(functools.partial(read, broken=broken), samples, MEAN, DEVIATION)


def in_memory(samples: int = 50) -> Split:
    pixels, targets = zip(*map(read, range(samples)), strict=True)
    scaled = np.stack(pixels) / 255
    standard = (scaled - np.reshape(MEAN, (3, 1, 1))) / np.reshape(DEVIATION, (3, 1, 1))
    return Split(standard, np.stack(targets).astype(np.uint8))


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_batches_are_those_in_memory(workers: int) -> None:
    streamed, resident = batches_of(stream(), "cpu", workers), batches_of(in_memory(), "cpu")
    for _ in range(3):  # the same workers serve every pass
        for ours, theirs in zip(streamed.ordered(16), resident.ordered(16), strict=True):
            assert torch.allclose(ours[0], theirs[0], atol=1e-6) and torch.equal(ours[1], theirs[1])
            assert ours[0].is_contiguous(memory_format=torch.channels_last)
        orders = (data.shuffled(16, torch.Generator().manual_seed(1)) for data in (streamed, resident))
        assert all(torch.equal(ours[1], theirs[1]) for ours, theirs in zip(*orders, strict=True))
    assert len(streamed) == 50 and streamed.waited > 0 == resident.waited


def test_a_pass_that_is_left_in_the_middle_leaves_nothing_behind() -> None:
    streamed = batches_of(stream(), "cpu", 2)
    list(itertools.islice(streamed.ordered(4), 2))
    assert torch.cat([targets for _, targets in streamed.ordered(7)]).tolist() == [row % 4 for row in range(50)]


def test_a_sample_that_cannot_be_read_is_one_line() -> None:
    with pytest.raises(TaskError, match=r"^picture20\.jpg is truncated$"):
        list(batches_of(stream(broken=20), "cpu", 1).ordered(8))


def test_a_streamed_task_trains() -> None:
    task = Task("stripes", (3, 8, 8), 4, lambda: Splits(stream(), stream(10), stream(10)))
    result = Evaluator(task, Recipe(epochs=2, batch_size=16)).evaluate(resnet(8, input=(3, 8, 8), outputs=4), seed=0)
    assert len(result.curve) == 2 and 0 < result.measured["waited"] < result.measured["seconds"]
    memory = replace(task, load=lambda: Splits(in_memory(), in_memory(10), in_memory(10)))
    same = Evaluator(memory, Recipe(epochs=2, batch_size=16)).evaluate(resnet(8, input=(3, 8, 8), outputs=4), seed=0)
    assert result.metrics["loss"] == pytest.approx(same.metrics["loss"], rel=1e-3)
    assert "waited" not in same.measured


def test_narrow_numbers_are_widened_batch_by_batch() -> None:
    data = ResidentBatches.of(Split(np.arange(12, dtype=np.uint8).reshape(4, 3), np.arange(4, dtype=np.int8)), "cpu")
    assert data.inputs.dtype == torch.uint8
    assert all(part.dtype == torch.int64 for batch in data.ordered(2) for part in batch)
    assert ResidentBatches.of(Split(np.zeros((4, 3)), np.zeros(4)), "cpu").targets.dtype == torch.float32
