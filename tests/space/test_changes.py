"""Changes of the skip of one block, and the space around one network."""

from __future__ import annotations

import random

import pytest
from optuna.trial import FixedTrial

from nas import tasks
from nas.errors import SpaceError
from nas.space import SearchSpace
from nas.space.around import space_around
from nas.topology import references
from tests.surrogate.planted import Drawn

DIGITS = SearchSpace.load("digits")


@pytest.mark.parametrize("seed", range(20))
def test_a_change_differs_in_the_skip_of_one_block(seed: int) -> None:
    topology = DIGITS.sample(Drawn(random.Random(seed)))
    before = DIGITS.encode(topology)
    with_skip = [name for name, value in before.items() if name.endswith(".skip") and value != "none"]
    changes = DIGITS.skip_changes(topology)
    assert len(changes) == sum(3 + (before[name] == "long") for name in with_skip)
    for place, kind, new, changed in changes:
        after = DIGITS.encode(changed)
        assert (before[f"{place}.skip"], after[f"{place}.skip"]) == (kind, new)
        same = {name for name in before if not name.startswith(place)}
        assert {name: before[name] for name in same} == {name: after[name] for name in same}
        assert new != "long"


def test_skips_are_removed_together() -> None:
    topology = references.get("resnet20", input=(1, 8, 8), outputs=10)
    space = space_around(topology, "digits")
    assert space.without(topology, []) == topology
    left = space.without(topology, ["block02", "block09"])
    assert [number for number, block in enumerate(left.blocks, 1) if not block.skips] == [2, 9]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("resnet20", "digits"),
        ("densenet_40_12", "digits"),
        ("highway", "digits"),
        ("unet", "digit_scenes"),
        ("gpt2", "pydoc"),
        ("plain56", "digits"),
    ],
)
def test_the_space_around_a_network_holds_it(name: str, task: str) -> None:
    known = tasks.get(task)
    topology = references.get(name, input=known.input, outputs=known.outputs)
    space = space_around(topology, task)
    assert space.sample(_Encoded(space.encode(topology))).key == topology.key
    skips = sum(bool(block.skips) for block in topology.blocks)
    assert len({change.place for change in space.skip_changes(topology)}) == skips


def test_a_task_that_does_not_fit_is_one_clear_line() -> None:
    with pytest.raises(SpaceError, match="does not hold"):
        space_around(references.get("resnet20"), "digits")


class _Encoded:
    """A trial that decides as these parameters do."""

    def __init__(self, params: dict[str, object]) -> None:
        self.params = params

    def suggest_categorical(self, name: str, choices: object) -> object:
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int) -> object:
        return self.params[name]


def test_without_its_first_skip_a_block_has_no_further_ones() -> None:
    network = {"stem": {"op": "conv3x3", "width": 8}, "stages": [{"blocks": 3, "op": "basic", "width": 8}]}
    skips = {"kinds": ["none", "add", "gate"], "at_most": 2, "long": {"join": "add"}}
    space = SearchSpace.from_dict({"task": "digits", "network": network | {"head": "classify"}, "skips": skips})
    skip = {"block01.skip": "none", "block02.skip": "none", "block03.skip": "add", "block03.skip2": "long"}
    topology = space.sample(FixedTrial(skip | {"block03.skip2.source": 0}))
    after = {(change.before, change.after): change.topology.blocks[2].skips for change in space.skip_changes(topology)}
    assert after.keys() == {("add, long", "none"), ("add", "gate")}
    assert after["add, long", "none"] == ()
    assert [one.kind for one in after["add", "gate"]] == ["gate", "add"]
