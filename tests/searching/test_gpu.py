"""The memory of the GPU of a process."""

from __future__ import annotations

import itertools
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nas.searching import gpu
from nas.searching.packing import CONTEXT_BYTES, SAFETY
from nas.searching.slots import Machine, ResourceRequest, divide_into_slots
from nas.tasks import Split, Splits, Stream

GIB = 2**30


class FakeCuda:
    """A stand-in for torch.cuda with a GPU of 24 GiB."""

    def __init__(self) -> None:
        self.fraction = math.nan

    def is_available(self) -> bool:
        return True

    def get_device_properties(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(total_memory=24 * GIB)

    def set_per_process_memory_fraction(self, fraction: float) -> None:
        self.fraction = fraction


def test_a_process_allocates_no_more_than_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    machine = divide_into_slots(
        {"n": {"CPU": 8.0, "GPU": 1.0}}, ResourceRequest(None, "auto"), 60, gpu.inspect(None, None)[0]
    )
    fractions = []
    for slots in machine.device.sizes:
        memory_limit = machine.memory_limit(slots)
        assert memory_limit is not None
        gpu.limit_memory(memory_limit)
        fractions.append(cuda.fraction * 24 * GIB)
    assert fractions == pytest.approx(
        [3 * GIB - CONTEXT_BYTES, 6 * GIB - CONTEXT_BYTES, 12 * GIB - CONTEXT_BYTES, 24 * GIB]
    )
    for predicted, slots in itertools.product((0, GIB, 2 * GIB, 8 * GIB), machine.device.sizes):
        if slots == machine.device.size(predicted) < machine.device.slots:
            assert machine.memory_limit(slots) >= SAFETY * predicted  # type: ignore[operator]
    assert gpu.inspect(None, 5) == (5, 0)


def test_without_torch_or_a_gpu_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.limit_memory(1)
    assert gpu.total_memory() is None
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    gpu.limit_memory(1)
    assert gpu.total_memory() is None
    even: Machine = divide_into_slots({"n": {"CPU": 8.0, "GPU": 1.0}}, ResourceRequest(2), 60)
    assert even.memory_limit(1) is None


def test_the_bytes_of_data_on_the_device() -> None:
    split = Split(np.zeros((10, 3, 4, 4)), np.zeros(10, np.int64))
    bytes_ = np.zeros((5, 8), np.uint8)
    stream = Stream(lambda row: (bytes_, bytes_), 10**6, (0.0,), (1.0,))
    assert gpu.resident_bytes(Splits(split, stream, split)) == 10 * 48 * 4 + 10 * 8
    assert gpu.resident_bytes(Splits(Split(bytes_, bytes_), split, split)) == 80 + 10 * 48 * 4 + 10 * 8
