"""Slots of GPUs and of cores: how many a candidate takes, who goes where, and a search on four GPUs of Ray's alone."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import RunError
from nas.searching import device
from nas.searching.bridge import Bridge
from nas.searching.packing import AHEAD, CONTEXT, PROCESS, SAFETY, Card, Cards
from nas.searching.session import Session
from nas.searching.slots import Machine, Wanted, divided
from nas.searching.trainable import Slot
from nas.space import SearchSpace
from nas.study import Run
from nas.tasks import Split, Splits, Stream
from tests.helpers import scripted

GIB = 2**30
QUICK = os.environ | {"RAY_prestart_worker_first_driver": "0"}  # Ray would start a process for every core
BYTES = st.integers(0, 2**48)


@dataclass(eq=False)
class Guest:
    slots: int


# ------------------------------------------------------------------------------------------ how much of a card


@given(st.integers(1, 64), st.integers(1, 2**42), BYTES, BYTES)
def test_a_size_is_the_least_that_suffices(slots: int, memory: int, resident: int, predicted: int) -> None:
    card = Card(slots, memory, resident)
    size = card.size(predicted)
    assert size in card.sizes
    assert list(card.sizes) == sorted({2**power for power in range(7) if 2**power < slots} | {slots})
    enough = [size for size in card.sizes if size / slots * memory >= SAFETY * predicted + resident]
    assert size == (enough[0] if enough else slots)


@given(st.integers(1, 64), st.integers(1, 2**42), BYTES, BYTES, BYTES)
def test_who_needs_more_takes_no_less(slots: int, memory: int, resident: int, one: int, other: int) -> None:
    card = Card(slots, memory, resident)
    assert card.size(min(one, other)) <= card.size(max(one, other))


def test_four_sizes_of_a_gpu() -> None:
    card = Card(8, 24 * GIB, CONTEXT)  # a slot holds 3 GiB, 2.25 of them for a candidate
    sizes = [card.size(int(GIB * predicted)) for predicted in (0, 1.79, 1.81, 4.1, 4.3, 8.9, 9.1, 500)]
    assert sizes == [1, 1, 2, 2, 4, 4, 8, 8]
    assert card.size(None) == 8
    assert Card(8).size(10**15) == 1  # nobody asks
    assert Card().size(None) == 1


# ---------------------------------------------------------------------------------------------- who goes where


@settings(max_examples=25)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_cards_hold_no_more_than_they_can_and_nobody_waits_for_ever(capacity: list[int], rng: random.Random) -> None:
    """Guests come as long as they may and leave in any order; the first in the line is in before 100 others are."""
    cards, inside = Cards[Guest](capacity), list[Guest]()
    overtaken = 0
    for _ in range(300):
        while cards.has_room():
            cards.waiting.append(Guest(rng.randint(1, max(capacity))))
            assert len(cards.waiting) <= AHEAD
            first = cards.waiting[0]
            if (guest := cards.admit()) is not None:
                inside.append(guest)
                overtaken = overtaken + 1 if guest is not first else 0
        assert overtaken < 100
        for card, slots in enumerate(capacity):
            assert sum(guest.slots for guest, place in cards._places.items() if place == card) <= slots
        cards.leave(inside.pop(rng.randrange(len(inside))))
        while (guest := cards.admit()) is not None:
            inside.append(guest)
            overtaken = 0


def put(cards: Cards[Guest], *sizes: int) -> list[int | None]:
    """The cards of guests that come one after the other; None for who waits."""
    guests = [Guest(slots) for slots in sizes]
    for guest in guests:
        cards.waiting.append(guest)
        cards.admit()
    return [cards._places.get(guest) for guest in guests]


def test_the_emptiest_card_is_kept_for_who_waits() -> None:
    cards = Cards[Guest]((8, 8, 8))
    assert put(cards, 4, 4, 8, 2, 1) == [0, 0, 1, 2, 2]
    assert put(cards, 8, 2) == [None, None]  # card 2 is kept, and there is room on no other
    assert not cards.has_room()
    first = next(iter(cards._places))
    cards.leave(first)
    assert cards.admit() is not None  # the second, beside the other half of card 0
    assert [guest.slots for guest in cards.waiting] == [8]
    assert cards.has_room()  # two more slots of card 0


def test_the_smallest_gap_is_filled() -> None:
    assert put(Cards[Guest]((8, 8)), 4, 8, 1, 1, 2) == [0, 1, 0, 0, 0]


def test_a_card_that_cannot_hold_it_is_not_kept() -> None:
    cards = Cards[Guest]((8, 2))
    assert put(cards, 2, 8, 2) == [1, 0, None]
    cards = Cards[Guest]((8, 4))
    assert put(cards, 8, 8, 4) == [0, None, 1]


def test_ray_may_decide_otherwise() -> None:
    cards = Cards[Guest]((2, 2))
    one, two = Guest(1), Guest(1)
    cards.waiting += [one, two]
    assert cards.admit() is one
    assert cards.admit() is two
    cards.seen(one, "gpu 1")
    cards.seen(two, "gpu 0")
    assert cards._places == {one: 0, two: 1}
    assert put(cards, 2) == [None]
    cards.leave(two)
    assert cards.admit() is not None
    cards.seen(one, "gpu 7")  # one more than was known
    assert cards._places[one] in (0, 1)


# ------------------------------------------------------------------------------------- how a machine is divided


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
        ([{}, {"CPU": 4.0}], None, 60, (4, {"CPU": 1}, 1)),  # a head that computes nothing
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
    place = divided(nodes, Wanted(slots), trials)
    assert (place.slots, place.resources(1), place.threads(1)) == expected
    assert place.most == place.slots
    whole = place.resources(place.card.slots)
    assert any(all(whole[name] <= max(1, node.get(name, 0)) for name in whole) for node in nodes)


@pytest.mark.parametrize(
    ("node", "wanted", "cards", "most", "slot", "whole"),
    [
        (
            {"CPU": 96.0, "GPU": 4.0},
            Wanted(None, "auto"),
            (8,) * 4,
            32,
            {"CPU": 3, "GPU": 0.125},
            {"CPU": 24, "GPU": 1},
        ),
        ({"CPU": 96.0, "GPU": 4.0}, Wanted(5, "auto"), (8,) * 4, 5, {"CPU": 3, "GPU": 0.125}, {"CPU": 24, "GPU": 1}),
        ({"CPU": 12.0, "GPU": 2.0}, Wanted(None, "auto"), (4, 4), 8, {"CPU": 1, "GPU": 0.25}, {"CPU": 4, "GPU": 1}),
        ({"CPU": 2.0, "GPU": 4.0}, Wanted(None, "auto"), (1,) * 4, 4, {"CPU": 0.5, "GPU": 1}, {"CPU": 0.5, "GPU": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, Wanted(None, 0.3), (3, 3), 6, {"CPU": 1, "GPU": 0.3333}, {"CPU": 3, "GPU": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, Wanted(1, "0.5"), (2, 2), 1, {"CPU": 2, "GPU": 0.5}, {"CPU": 4, "GPU": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, Wanted(None, 1), (1, 1), 2, {"CPU": 4, "GPU": 1}, {"CPU": 4, "GPU": 1}),
    ],
)
def test_gpus_are_shared_as_asked(
    node: dict[str, float], wanted: Wanted, cards: tuple[int, ...], most: int, slot: dict[str, float], whole: Any
) -> None:
    place = divided([node], wanted, 60, 24 * GIB, GIB)
    assert (place.cards, place.most) == (cards, most)
    assert place.resources(1) == slot
    assert place.resources(place.card.slots) == whole
    assert place.card.resident == CONTEXT + GIB


def test_on_a_cpu_memory_takes_cores() -> None:
    """16 cores and 32 GiB: a slot of one core has 2 GiB."""
    place = divided([{"CPU": 16.0, "memory": 32.0 * GIB}], Wanted(), 1000)
    assert (place.slots, place.card) == (16, Card(16, 32 * GIB, PROCESS))
    fits = int((2 * GIB - PROCESS) / SAFETY)
    assert [place.card.size(predicted) for predicted in (0, fits, fits + 1, 10 * GIB, 99 * GIB)] == [1, 1, 2, 8, 16]
    assert place.resources(2) == {"CPU": 2}
    assert place.threads(8) == 8
    assert place.allowance(1) is None
    small = divided([{"CPU": 4.0, "memory": 8.0 * GIB}, {"CPU": 8.0, "memory": 32.0 * GIB}], Wanted(), 1000)
    assert (small.cards, small.card.memory) == ((4, 8), 16 * GIB)  # two of each core, as on the poorer node
    assert divided([{"CPU": 2.0}], Wanted(), 60).card.size(10**15) == 1


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        ({"gpus_per_trial": "some"}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 'some'"),
        ({"gpus_per_trial": 2}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 2"),
        ({"gpus_per_trial": 0}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 0"),
        ({"gpus_per_trial": "nan"}, "gpus_per_trial must be auto or a number from 0.001 to 1, but got 'nan'"),
        ({"gpu_memory": "24GiB"}, "gpu_memory is for gpus_per_trial=auto, but that is not asked for"),
        ({"gpus_per_trial": "auto", "gpu_memory": "much"}, "gpu_memory must be a size such as .*, but got 'much'"),
        ({"slots": 0}, "slots >= 1 must hold, but got 0"),
    ],
)
def test_what_is_wanted_must_make_sense(wanted: dict[str, Any], rule: str) -> None:
    with pytest.raises(RunError, match=rule):
        Wanted(**wanted)


def test_without_a_gpu_there_is_none_to_share() -> None:
    with pytest.raises(RunError, match="gpus_per_trial=auto needs a GPU, but Ray knows of none"):
        divided([{"CPU": 2.0}], Wanted(None, "auto"), 60)


# -------------------------------------------------------------------------------------------- what torch knows


class FakeCuda:
    """A card of 24 GiB, as torch.cuda shows it."""

    def __init__(self) -> None:
        self.fraction = math.nan

    def is_available(self) -> bool:
        return True

    def get_device_properties(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(total_memory=24 * GIB)

    def set_per_process_memory_fraction(self, fraction: float) -> None:
        self.fraction = fraction


def test_a_process_takes_no_more_than_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    place = divided([{"CPU": 8.0, "GPU": 1.0}], Wanted(None, "auto"), 60, device.look(None, None)[0])
    fractions = []
    for slots in place.card.sizes:
        allowance = place.allowance(slots)
        assert allowance is not None
        device.limit(allowance)
        fractions.append(cuda.fraction * 24 * GIB)
    assert fractions == pytest.approx([3 * GIB - CONTEXT, 6 * GIB - CONTEXT, 12 * GIB - CONTEXT, 24 * GIB])
    for predicted, slots in itertools.product((0, GIB, 2 * GIB, 8 * GIB), place.card.sizes):
        if slots == place.card.size(predicted) < place.card.slots:
            assert place.allowance(slots) >= SAFETY * predicted  # type: ignore[operator]
    assert device.look(None, 5) == (5, 0)


def test_without_torch_or_a_gpu_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    device.limit(1)
    assert device.holds() is None
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    device.limit(1)
    assert device.holds() is None
    even: Machine = divided([{"CPU": 8.0, "GPU": 1.0}], Wanted(2), 60)
    assert even.allowance(1) is None


def test_data_counts_as_it_lies_on_the_device() -> None:
    split = Split(np.zeros((10, 3, 4, 4)), np.zeros(10, np.int64))
    bytes_ = np.zeros((5, 8), np.uint8)
    stream = Stream(lambda row: (bytes_, bytes_), 10**6, (0.0,), (1.0,))
    assert device.resident(Splits(split, stream, split)) == 10 * 48 * 4 + 10 * 8
    assert device.resident(Splits(Split(bytes_, bytes_), split, split)) == 80 + 10 * 48 * 4 + 10 * 8


# --------------------------------------------------------------------------------------------------- the bridge


def result(trial_id: str, end: str, **more: Any) -> Any:
    """A trial of Tune that has ended."""
    return SimpleNamespace(trial_id=trial_id, error_file=None, last_result={"end": end} | more)


def bridge(root: Path, place: Machine, **options: Any) -> Bridge:
    run = Run.open("run", root) if (root / "run").exists() else Run.create(scripted.space(), "run", root)
    return Bridge(Session(run, scripted.price, 5), place, **options)


def test_a_bridge_asks_for_no_more_than_fits(tmp_path: Path) -> None:
    """Of candidates that take half of a GPU each, two GPUs hold four, and three where no more are wanted."""
    for most, number in ((8, 4), (3, 3)):
        asking = bridge(tmp_path, Machine(Card(4, GIB, GIB // 3), (4, 4), most, cores=1, gpu=True))
        suggested = [asking.suggest(f"trial {number}") for number in range(6)]
        asking.session.close()
        assert [suggestion["slots"] for suggestion in suggested if suggestion is not None] == [2] * number
        assert suggested[number:] == [None] * (6 - number)


def test_what_waits_for_its_second_try_survives_the_search(tmp_path: Path) -> None:
    place = Machine(Card(4, GIB, GIB // 3), (4,), 4, cores=1, gpu=True)
    first = bridge(tmp_path, place)
    seed = first.suggest("a"), first.suggest("b")
    assert first.suggest("c") is None
    starved = first.candidate("a")
    first.trainings["a"].curve.append({"epoch": 1, "accuracy": 0.5})
    first.ended(result("a", Slot.STARVED, reason="no more", holds=None))
    assert first.cards.waiting == [starved]
    assert starved.slots == 4
    assert first.suggest("d") is None  # beside b there is no room for it, and nobody else is asked
    first.session.close()
    again = bridge(tmp_path, place)
    assert again.session.finished == 0
    assert [again.suggest(name) for name in "ab"] == list(seed)  # beside others once more
    again.ended(result("b", Slot.FAILED, reason="error: no"))
    again.ended(result("a", Slot.STARVED, reason="no more", holds=None))
    assert again.suggest("e") == {**seed[0], "slots": 4}
    again.ended(result("e", Slot.STARVED, reason="still no more", holds=None))
    again.session.close()
    trials = again.session.run.study.get_trials()
    reasons = {trial.user_attrs.get("reason") for trial in trials}
    needs = scripted.price(starved.topology)["memory"]
    alone = f"out of memory: predicted {needs:,} bytes, alone on a GPU that holds 1,073,741,824: still no more"
    assert reasons == {"error: no", alone}


def test_a_process_that_the_machine_had_to_kill_is_out_of_memory(tmp_path: Path) -> None:
    hit = bridge(tmp_path, divided([{"CPU": 2.0}], Wanted(), 60))
    suggested = hit.suggest("a")
    (tmp_path / "error").write_text("Worker exit type: NODE_OUT_OF_MEMORY Worker exit detail: …")
    killed = SimpleNamespace(trial_id="a", error_file=tmp_path / "error")
    hit.crashed(killed)  # type: ignore[arg-type]
    assert hit.suggest("b") == {**suggested, "slots": 2}
    hit.crashed(SimpleNamespace(trial_id="b", error_file=tmp_path / "error"))  # type: ignore[arg-type]
    hit.session.close()
    [trial] = hit.session.run.study.get_trials()
    assert trial.user_attrs["reason"].endswith(" bytes, alone on a node: the machine had none left")


ASKING = """
import ray
from nas.errors import RunError
from nas.searching.machine import machine
from nas.searching.slots import Wanted
from nas.space import SearchSpace

quiet = dict(include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
ray.init(address="local", num_cpus=8, num_gpus=2, **quiet)
load = SearchSpace.load("digits").task.load
for memory, load in ((None, None), ("24GiB", load), ("24GiB", lambda: 1 / 0)):
    try:
        with machine(None, Wanted(None, "auto", memory), 60, load) as place:
            print(place.cards, place.card.memory, place.card.resident)
    except RunError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_node_says_what_its_gpus_hold() -> None:
    """It has none, but reads the data."""
    done = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, env=QUICK, timeout=200)
    splits = SearchSpace.load("digits").task.load()
    assert done.stdout.splitlines() == [
        "gpus_per_trial=auto: torch finds no GPU where Ray has one; say what it holds: gpu_memory=24GiB",
        f"(4, 4) {24 * GIB} {CONTEXT + device.resident(splits)}",
        "what a GPU has to hold is not known: division by zero",
    ], done.stderr


# ------------------------------------------------------------------------------------ four GPUs, by Ray's logic

NEEDS = [1, 1, 1, 3, 7, 15]  # GiB predicted for the first topologies of the space
SHARES = [1 / 8, 1 / 8, 1 / 8, 1 / 4, 1 / 2, 1]  # that these are, of a GPU of 24 GiB
MISJUDGED, HOPELESS = 3, 4  # the first needs a whole GPU, the other more than one
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
driver._price = lambda topology, recipe: scripted.price(topology) | {{"memory": memory[topology.key]}}
starved = {{keys[{MISJUDGED}]: 1.0, keys[{HOPELESS}]: 2.0}}
evaluate = functools.partial(scripted.Placed, seconds=0.2, starved=starved, notes=root / "notes")
run = driver.search(space, name="packed", root=root, evaluate=evaluate, gpus_per_trial="auto", gpu_memory="24GiB")
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[dict[str, Any]], str]:
    """A search on four GPUs that are not there, in a process of its own: its run, its trainings, what it said."""
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
        expected[keys[number]].append(1.0)  # once more, alone
    got: dict[str, list[float]] = {}
    for note in sorted(notes, key=lambda note: float(note["began"])):
        got.setdefault(note["key"], []).append(note["share"])
    assert got == expected


def test_no_gpu_is_given_away_twice(packed: Packed) -> None:
    _, notes, _ = packed
    together = []
    for note in notes:
        same = [other for other in notes if other["gpu"] == note["gpu"]]
        beside = [other for other in same if other["began"] <= note["began"] < other["ended"]]
        assert sum(other["share"] for other in beside) <= 1
        together.append(len(beside))
    assert max(together) >= 2  # small ones do run side by side


def test_what_ran_out_of_memory_is_tried_once_more_alone(packed: Packed) -> None:
    run, notes, said = packed
    frame = run.frame().set_index("key")
    keys = tried(run)
    assert list(frame["state"][keys]) == ["FAIL" if key == keys[HOPELESS] else "COMPLETE" for key in keys]
    holds = "predicted 7,516,192,768 bytes, alone on a GPU that holds 25,769,803,776"
    assert frame["reason"][keys[HOPELESS]] == f"out of memory: {holds}: tried to allocate 20 GiB"
    assert [record["epoch"] for record in frame["curve"][keys[MISJUDGED]]] == [1, 2]  # of the second try alone
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
        assert f"trial {trial}  once more, alone: out of memory: tried to allocate 20 GiB" in said
