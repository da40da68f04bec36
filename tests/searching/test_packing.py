"""How many slots a candidate takes, which device it goes to, and a search on four GPUs that exist for Ray alone."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.searching.packing import CONTEXT_BYTES, MAX_WAITING, SAFETY, Device, Placements
from nas.study import Run

GIB = 2**30
QUICK = os.environ | {"RAY_prestart_worker_first_driver": "0"}  # Ray would start a process for every core
BYTES = st.integers(0, 2**48)


@dataclass(eq=False)
class Guest:
    """A stand-in for a candidate."""

    slots: int
    avoid: set[str] = field(default_factory=set)


def on(*capacity: int) -> dict[str, int]:
    """Return the GPUs of a node, with so many slots each."""
    return {f"node {number}": slots for number, slots in enumerate(capacity)}


# ------------------------------------------------------------------------------------------- how many slots of a device


@given(st.integers(1, 64), st.integers(1, 2**42), BYTES, BYTES)
def test_a_size_is_the_smallest_that_is_large_enough(slots: int, memory: int, resident: int, predicted: int) -> None:
    device = Device(slots, memory, resident)
    size = device.size(predicted)
    assert size in device.sizes
    assert list(device.sizes) == sorted({2**power for power in range(7) if 2**power < slots} | {slots})
    enough = [size for size in device.sizes if size / slots * memory >= SAFETY * predicted + resident]
    assert size == (enough[0] if enough else slots)


@given(st.integers(1, 64), st.integers(1, 2**42), BYTES, BYTES, BYTES)
def test_more_memory_takes_no_fewer_slots(slots: int, memory: int, resident: int, one: int, other: int) -> None:
    device = Device(slots, memory, resident)
    assert device.size(min(one, other)) <= device.size(max(one, other))


def test_four_sizes_of_a_gpu() -> None:
    device = Device(8, 24 * GIB, CONTEXT_BYTES)  # a slot holds 3 GiB, 2.125 of them for a candidate
    sizes = [device.size(int(GIB * predicted)) for predicted in (0, 1.69, 1.71, 4.09, 4.11, 8.89, 8.91, 500)]
    assert sizes == [1, 1, 2, 2, 4, 4, 8, 8]
    assert device.size(None) == 8
    assert Device(8).size(10**15) == 1  # without a memory every candidate takes one slot
    assert Device().size(None) == 1


# --------------------------------------------------------------------------------------------------------- which device


@settings(max_examples=25)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_no_device_is_overfull_and_no_candidate_waits_for_ever(capacity: list[int], rng: random.Random) -> None:
    """Guests come while there is room and leave in any order; fewer than 100 may overtake the first that waits."""
    placements, inside = Placements[Guest](on(*capacity)), list[Guest]()
    overtaken = 0
    for _ in range(300):
        while placements.has_room():
            placements.waiting.append(Guest(rng.randint(1, max(capacity))))
            assert len(placements.waiting) <= MAX_WAITING
            first = placements.waiting[0]
            if (guest := placements.admit()) is not None:
                inside.append(guest)
                overtaken = overtaken + 1 if guest is not first else 0
        assert overtaken < 100
        for device, slots in on(*capacity).items():
            assert sum(guest.slots for guest, place in placements._device_of.items() if place == device) <= slots
        placements.release(inside.pop(rng.randrange(len(inside))))
        while (guest := placements.admit()) is not None:
            inside.append(guest)
            overtaken = 0


def put(placements: Placements[Guest], *sizes: int) -> list[int | None]:
    """Return the number of the device of each guest, when they come one after the other; None for one that waits."""
    guests = [Guest(slots) for slots in sizes]
    for guest in guests:
        placements.waiting.append(guest)
        placements.admit()
    places = [placements._device_of.get(guest) for guest in guests]
    return [None if place is None else int(place.removeprefix("node ")) for place in places]


def test_the_emptiest_device_is_reserved_for_the_first_that_waits() -> None:
    placements = Placements[Guest](on(8, 8, 8))
    assert put(placements, 4, 4, 8, 2, 1) == [0, 0, 1, 2, 2]
    assert put(placements, 8, 2) == [None, None]  # device 2 is reserved, and no other has room
    assert not placements.has_room()
    first = next(iter(placements._device_of))
    placements.release(first)
    assert placements.admit() is not None  # the second, beside the other half of device 0
    assert [guest.slots for guest in placements.waiting] == [8]
    assert placements.has_room()  # two more slots of device 0


def test_the_smallest_gap_is_filled() -> None:
    assert put(Placements[Guest](on(8, 8)), 4, 8, 1, 1, 2) == [0, 1, 0, 0, 0]


def test_a_device_that_is_too_small_is_not_reserved() -> None:
    placements = Placements[Guest](on(8, 2))
    assert put(placements, 2, 8, 2) == [1, 0, None]
    placements = Placements[Guest](on(8, 4))
    assert put(placements, 8, 8, 4) == [0, None, 1]


def test_ray_may_decide_differently() -> None:
    placements = Placements[Guest](on(2, 2))
    one, two = Guest(1), Guest(1)
    placements.waiting += [one, two]
    assert placements.admit() is one
    assert placements.admit() is two
    placements.observe(one, "node 1")
    placements.observe(two, "node 0")
    assert placements._device_of == {one: "node 1", two: "node 0"}
    assert put(placements, 2) == [None]
    placements.release(two)
    assert placements.admit() is not None
    placements.observe(one, "node MIG-7")  # a name that was not known
    assert placements._device_of[one] in placements.capacity


def test_a_candidate_goes_to_a_node_that_it_does_not_avoid() -> None:
    placements = Placements[Guest]({"a 0": 2, "b 0": 2})
    placements.waiting += [Guest(1, {"a"}), Guest(2, {"a"}), Guest(1, {"a", "b"})]
    first = placements.admit()
    assert first is not None
    assert placements.node(first) == "b"
    last = placements.admit()  # the second waits for b, the third avoids every node and may take a
    assert last is not None
    assert (placements.node(last), len(placements.waiting)) == ("a", 1)
    placements.follow({"a 0": 2})
    placements.release(last)
    assert placements.admit() is not None  # there is no other node now


def test_a_candidate_that_was_to_fill_a_device_that_is_gone_fills_the_largest_that_is_left() -> None:
    placements = Placements[Guest]({"a": 8, "b": 4})
    placements.waiting.append(Guest(8))
    placements.follow({"b": 4})
    guest = placements.admit()
    assert guest is not None
    assert guest.slots == 4


# ------------------------------------------------------------------------------------------------ a search on four GPUs


NEEDS = [1, 1, 1, 3, 7, 15]  # GiB predicted for the first topologies of the space
SHARES = [1 / 8, 1 / 8, 1 / 8, 1 / 4, 1 / 2, 1]  # the shares of a GPU of 24 GiB that these need
MISJUDGED, HOPELESS = 3, 4  # the first needs a whole GPU, the second more than one; both were predicted too low
PROGRAM = f"""
import functools, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import ray
import ray.cloudpickle
from nas.searching import driver
from tests.helpers import scripted
ray.cloudpickle.register_pickle_by_value(scripted)
quiet = dict(include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
ray.init(address="local", num_cpus=32, num_gpus=4, **quiet)
root = pathlib.Path(sys.argv[1])
space = scripted.space(blocks=2, trials={len(NEEDS)}, sampler="exhaustive")
keys = [topology.key for topology in space.enumerate()]
memory = dict(zip(keys, (need * 2**30 for need in {NEEDS})))
driver._predict_cost = lambda topology, recipe: scripted.price(topology) | {{"memory": memory[topology.key]}}
starved = {{keys[{MISJUDGED}]: 1.0, keys[{HOPELESS}]: 2.0}}
held = dict(starved=starved, together=keys[:2], notes=root / "notes")  # the first two are small
evaluate = functools.partial(scripted.Placed, seconds=0.2, **held)
run = driver.search(space, name="packed", root=root, evaluate=evaluate, gpus_per_trial="auto", gpu_memory="24GiB")
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[dict[str, Any]], str]:
    """A search on four GPUs that do not exist, in a process of its own: its run, its trainings, its output."""
    root = tmp_path_factory.mktemp("packed")
    command = [sys.executable, "-c", PROGRAM, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, env=QUICK, timeout=200)
    assert done.returncode == 0, done.stderr
    notes = [json.loads(line) for line in (root / "notes").read_text().splitlines()]
    return Run.open("packed", root), notes, done.stderr


Packed = tuple[Run, list[dict[str, Any]], str]


def tried(run: Run) -> list[str]:
    return [topology.key for topology in itertools.islice(run.space.enumerate(), len(NEEDS))]


def test_shares_of_a_gpu_are_as_computed(packed: Packed) -> None:
    run, notes, _ = packed
    keys = tried(run)
    expected = {key: [share] for key, share in zip(keys, SHARES, strict=True)}
    for number in (MISJUDGED, HOPELESS):
        expected[keys[number]].append(1.0)  # retried alone
    got: dict[str, list[float]] = {}
    for note in sorted(notes, key=lambda note: float(note["began"])):
        got.setdefault(note["key"], []).append(note["share"])
    assert got == expected


def test_no_part_of_a_gpu_is_given_away_twice(packed: Packed) -> None:
    _, notes, _ = packed
    together = []
    for note in notes:
        same = [other for other in notes if other["gpu"] == note["gpu"]]
        beside = [other for other in same if other["began"] <= note["began"] < other["ended"]]
        assert sum(other["share"] for other in beside) <= 1
        together.append(len(beside))
    assert max(together) >= 2  # small candidates share a GPU


def test_a_candidate_that_ran_out_of_memory_is_retried_alone(packed: Packed) -> None:
    run, notes, said = packed
    frame = run.frame().set_index("key")
    keys = tried(run)
    assert list(frame["state"][keys]) == ["FAIL" if key == keys[HOPELESS] else "COMPLETE" for key in keys]
    holds = "predicted 7,516,192,768 bytes, alone on a GPU with 25,769,803,776 bytes"
    assert frame["reason"][keys[HOPELESS]] == f"out of memory: {holds}: tried to allocate 20 GiB"
    assert [record["epoch"] for record in frame["curve"][keys[MISJUDGED]]] == [1, 2]  # of the retry alone
    assert [record["epoch"] for record in frame["curve"][keys[HOPELESS]]] == [1]
    for number in (MISJUDGED, HOPELESS):
        first, again = (
            note for note in sorted(notes, key=lambda note: float(note["began"])) if note["key"] == keys[number]
        )
        assert first["ended"] <= again["began"]
        for other in notes:
            apart = other["ended"] <= again["began"] or other["began"] >= again["ended"]
            assert other is again or other["gpu"] != again["gpu"] or apart
        trial = frame["trial"][keys[number]]
        assert f"trial {trial}  once more: out of memory, alone now: tried to allocate 20 GiB" in said
