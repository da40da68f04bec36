"""How GPUs and cores are divided into slots."""

from __future__ import annotations

from typing import Any

import pytest

from nas.errors import RunError
from nas.searching.packing import CONTEXT_BYTES, PROCESS_BYTES, SAFETY, Device
from nas.searching.slots import Machine, ResourceRequest, divide_into_slots

GIB = 2**30


def divide(nodes: list[dict[str, float]], *arguments: Any) -> Machine:
    """Return the machine that the nodes n0, n1, … are."""
    return divide_into_slots({f"n{number}": node for number, node in enumerate(nodes)}, *arguments)


@pytest.mark.parametrize(
    ("nodes", "slots", "trials", "expected"),
    [
        ([{"CPU": 2.0}], None, 60, (2, {"CPU": 1}, 1)),
        ([{"CPU": 1.0}], None, 60, (1, {"CPU": 1}, 1)),
        ([{"CPU": 64.0}], None, 60, (15, {"CPU": 4}, 4)),
        ([{"CPU": 64.0}], None, 1000, (64, {"CPU": 1}, 1)),
        ([{"CPU": 8.0}], 2, 60, (2, {"CPU": 4}, 4)),
        ([{"CPU": 2.0}], 3, 60, (3, {"CPU": 0.6666}, 1)),
        ([{"CPU": 2.0}] * 3, 3, 60, (3, {"CPU": 2}, 2)),
        ([{"CPU": 1.0}] * 4, 2, 60, (2, {"CPU": 1}, 1)),
        ([{}], None, 1, (1, {"CPU": 1}, 1)),
        ([{}, {"CPU": 4.0}], None, 60, (4, {"CPU": 1}, 1)),  # a head node without cores
        ([{"CPU": 16.0, "GPU": 4.0}], None, 60, (4, {"CPU": 4, "GPU": 1.0}, 4)),
        ([{"CPU": 16.0, "GPU": 1.0}], 3, 60, (3, {"CPU": 5, "GPU": 0.3333}, 5)),
        ([{"CPU": 16.0, "GPU": 4.0}], 2, 60, (2, {"CPU": 8, "GPU": 1.0}, 8)),
        ([{"CPU": 16.0, "GPU": 4.0}], 6, 60, (6, {"CPU": 2, "GPU": 0.5}, 2)),
        ([{"CPU": 8.0, "GPU": 1.0}] * 4, 2, 60, (2, {"CPU": 8, "GPU": 1.0}, 8)),
        ([{"CPU": 64.0}, {"CPU": 16.0, "GPU": 4.0}], None, 60, (4, {"CPU": 4, "GPU": 1.0}, 4)),  # cores without a GPU
        ([{"CPU": 2.0, "GPU": 4.0}], None, 60, (4, {"CPU": 0.5, "GPU": 1.0}, 1)),
    ],
)
def test_slots_follow_from_the_machine(
    nodes: list[dict[str, float]], slots: int | None, trials: int, expected: tuple[int, dict[str, float], int]
) -> None:
    machine = divide(nodes, ResourceRequest(slots), trials)
    assert (machine.slots, machine.resources(1), machine.threads(1)) == expected
    assert machine.max_candidates == machine.slots
    whole = machine.resources(machine.device.slots)
    assert any(all(whole[name] <= max(1, node.get(name, 0)) for name in whole) for node in nodes)


@pytest.mark.parametrize(
    ("node", "wanted", "capacity", "most", "slot", "whole"),
    [
        ({"CPU": 96.0, "GPU": 4.0}, (None, "auto"), (8,) * 4, 32, {"CPU": 3, "GPU": 0.125}, {"CPU": 24, "GPU": 1}),
        ({"CPU": 96.0, "GPU": 4.0}, (5, "auto"), (8,) * 4, 5, {"CPU": 3, "GPU": 0.125}, {"CPU": 24, "GPU": 1}),
        ({"CPU": 12.0, "GPU": 2.0}, (None, "auto"), (4, 4), 8, {"CPU": 1, "GPU": 0.25}, {"CPU": 4, "GPU": 1}),
        ({"CPU": 2.0, "GPU": 4.0}, (None, "auto"), (1,) * 4, 4, {"CPU": 0.5, "GPU": 1}, {"CPU": 0.5, "GPU": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, (None, 0.3), (3, 3), 6, {"CPU": 1, "GPU": 0.3333}, {"CPU": 3, "GPU": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, (1, "0.5"), (2, 2), 1, {"CPU": 2, "GPU": 0.5}, {"CPU": 4, "GPU": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, (None, 1), (1, 1), 2, {"CPU": 4, "GPU": 1}, {"CPU": 4, "GPU": 1}),
    ],
)
def test_gpus_are_shared_as_asked(
    node: dict[str, float], wanted: Any, capacity: tuple[int, ...], most: int, slot: Any, whole: Any
) -> None:
    machine = divide([node], ResourceRequest(*wanted), 60, 24 * GIB, GIB)
    assert (tuple(machine.devices.values()), machine.max_candidates) == (capacity, most)
    assert machine.resources(1) == slot
    assert machine.resources(machine.device.slots) == whole
    assert machine.device.resident == CONTEXT_BYTES + GIB


def test_on_a_cpu_more_memory_takes_more_cores() -> None:
    """16 cores and 32 GiB: a slot of one core has 2 GiB."""
    machine = divide([{"CPU": 16.0, "memory": 32.0 * GIB}], ResourceRequest(), 1000)
    assert (machine.slots, machine.device) == (16, Device(16, 32 * GIB, PROCESS_BYTES))
    fits = int((2 * GIB - PROCESS_BYTES) / SAFETY)
    assert [machine.device.size(predicted) for predicted in (0, fits, fits + 1, 10 * GIB, 99 * GIB)] == [1, 1, 2, 8, 16]
    assert machine.resources(2) == {"CPU": 2}
    assert machine.threads(8) == 8
    assert machine.memory_limit(1) is None
    small = divide([{"CPU": 4.0, "memory": 8.0 * GIB}, {"CPU": 8.0, "memory": 32.0 * GIB}], ResourceRequest(), 1000)
    assert (tuple(small.devices.values()), small.device.memory) == (
        (4, 8),
        16 * GIB,
    )  # 2 GiB for each core, as on the smaller node
    assert divide([{"CPU": 2.0}], ResourceRequest(), 60).device.size(10**15) == 1


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"gpus_per_trial": "some"}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 'some'"),
        ({"gpus_per_trial": 2}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 2"),
        ({"gpus_per_trial": 0}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 0"),
        ({"gpus_per_trial": "nan"}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 'nan'"),
        ({"gpu_memory": "24GiB"}, "gpu_memory needs gpus_per_trial=auto, but that is not given"),
        ({"gpus_per_trial": "auto", "gpu_memory": "much"}, "gpu_memory must be a size such as .*, but got 'much'"),
        ({"slots": 0}, "slots >= 1 must hold, but got 0"),
    ],
)
def test_a_request_must_make_sense(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(RunError, match=rule):
        ResourceRequest(**options)


def test_without_a_gpu_there_is_none_to_share() -> None:
    with pytest.raises(RunError, match="gpus_per_trial=auto needs a GPU, but Ray found none"):
        divide([{"CPU": 2.0}], ResourceRequest(None, "auto"), 60)
