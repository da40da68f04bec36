"""Divide a blueprint into groups of blocks that one line of `forward` runs, and name the modules of each group.

A group is one block, or several consecutive blocks with the same line, which is written as a loop. Its modules are
attributes named after the blocks: `block3`, `project3`, `gate3`, `norm3` of one block, and `blocks4_9`, `gates4_9`,
`norms4_9` of several; `project3_2` is that of the second skip of block 3. `alpha` and `beta` are the factors on F(x)
and on a bypass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas.network.plans import BlockPlan, Blueprint, Call, numbered
from nas.topology.vocabulary import JOINS, SCALES

SLOTS = {  # attribute of a built block → slot
    "transform": "block",
    "norm": "subnorm",
    "branch": "alpha",
    "project": "project",
    "scale": "beta",
    "after": "norm",
}
NUMBERED = re.compile(r"([a-z]+)(\d*)")  # the name of a module or of a slot, with the number of its skip
PERIODS = (1, 2, 3, 4)
SHORTEST = 3  # the smallest number of blocks that are written as a loop

Modules = tuple[tuple[str, Call], ...]  # slot → its constructor call, of one block


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """The blocks `first` to `last`, numbered from 1.

    period: the number of blocks after which the constructor calls repeat; 0 if only a width differs, by equal steps.
    """

    first: int
    plans: tuple[BlockPlan, ...]
    period: int = 1

    @property
    def last(self) -> int:
        """The number of the last block."""
        return self.first + len(self.plans) - 1

    @property
    def modules(self) -> dict[str, tuple[Call, ...]]:
        """The constructor calls of every slot, one call per block."""
        every = [dict(exported_modules(plan)) for plan in self.plans]
        return {slot: tuple(calls[slot] for calls in every) for slot in every[0]}

    def attribute(self, slot: str) -> str:
        """Return the name of the attribute that holds the modules of the slot."""
        if len(self.plans) > 1:
            return f"{slot}{'es' if slot.endswith('x') else 's'}{self.first}_{self.last}"
        name, number = _split(slot)
        return f"{name}{self.first}" + (f"_{number}" if number else "")

    @property
    def is_sequence(self) -> bool:
        """Whether the group is a loop of x = block(x), which is written as an nn.Sequential."""
        return len(self.plans) > 1 and self.plans[0].calls.keys() == {"transform"}


def exported_modules(plan: BlockPlan) -> Modules:
    """Return the modules of a block in the exported file; plain joins and activations are written as expressions."""
    return tuple((slot, plan.calls[name]) for name, slot in slots_of(plan).items())


def slots_of(plan: BlockPlan) -> dict[str, str]:
    """Return the attribute of every exported module in a built block → its slot: `scale2` → `beta2`."""
    kinds = {numbered("join", join.first): join.kind for join in plan.joins}
    slots = {}
    for name, call in plan.calls.items():
        inner, number = _split(name)
        slot = kinds.get(name) or SLOTS.get(inner)
        if slot is not None and not _is_expression(slot, call):
            slots[name] = slot + number
    return slots


def _split(name: str) -> tuple[str, str]:
    """Return a name and the number behind it, which is empty for the first skip."""
    found = NUMBERED.fullmatch(name)
    assert found is not None
    return found[1], found[2]


def _is_expression(slot: str, call: Call) -> bool:
    """Return whether a module is written as an expression, and not as a module."""
    if slot in JOINS:
        return JOINS[slot].expression is not None
    return call.name in {"nn.Identity", "nn.ReLU", *(scale.module for scale in SCALES.values() if scale.expression)}


def group_blocks(plan: Blueprint) -> tuple[BlockGroup, ...]:
    """Return the groups of all blocks in order; from every place on, the longest loop is taken."""
    return tuple(_groups(plan.blocks, plan.last_use))


def _groups(plans: Sequence[BlockPlan], kept: Mapping[int, int]) -> Iterator[BlockGroup]:
    place = 0
    while place < len(plans):
        period, length = _repeated([exported_modules(plan) for plan in _alike(plans, place, kept)])
        yield BlockGroup(place + 1, tuple(plans[place : place + length]), period)
        place += length


def _alike(plans: Sequence[BlockPlan], place: int, kept: Mapping[int, int]) -> Sequence[BlockPlan]:
    """Return the blocks from `place` on that have the same line; a block whose output is kept is the last of them."""
    end = place + 1
    line = _line(plans[place])
    while line and end < len(plans) and _line(plans[end]) == line and end not in kept:
        end += 1
    return plans[place:end]


def _line(plan: BlockPlan) -> tuple[str, ...]:
    """Return a key that is equal for blocks with the same line; () for a block that cannot be in a loop."""
    far = any(not one.short or one.resize or one.project or one.shared for one in plan.bypasses)
    if far or len(plan.bypasses) > 1 or plan.transform.name == "nn.Identity":
        return ()
    calls = {name: call for name, call in plan.calls.items() if name != "transform"}
    constants = {rule.module for rule in SCALES.values() if rule.expression}  # their numbers stand in the line
    kept = (call if call.name in constants else Call(call.name) for call in calls.values())
    return ("line", *(f"{name} {call}" for name, call in zip(calls, kept, strict=True)))


def _repeated(blocks: Sequence[Modules]) -> tuple[int, int]:
    """Return the period and the length of the longest loop from the first block on; (1, 1) if there is none."""
    best = 1, 1
    for period in PERIODS:
        length = period
        while length < len(blocks) and blocks[length] == blocks[length - period]:
            length += 1
        length -= length % period
        if length >= max(SHORTEST, 2 * period) and length > best[1]:
            best = period, length
    length = _growing(blocks)
    return (0, length) if length >= SHORTEST and length > best[1] else best


def _growing(blocks: Sequence[Modules]) -> int:
    """Return how many blocks, from the first on, differ only in a first argument that grows by equal steps."""
    calls = [block[0][1] for block in blocks if len(block) == 1 and block[0][1].args]
    if len(calls) < len(blocks) or len(calls) < 2:
        return 1
    by = calls[1].args[0] - calls[0].args[0]
    length = 1
    for one, two in pairwise(calls):
        if by <= 0 or two != Call(one.name, (one.args[0] + by, *one.args[1:]), one.kwargs):
            break
        length += 1
    return length


def exported_names(plan: Blueprint) -> dict[str, str]:
    """Return the name of a module in the built network → its name in the exported one: blocks.4.join → gates4_9.1."""
    names = {}
    for group in group_blocks(plan):
        for name, slot in slots_of(group.plans[0]).items():
            for place in range(len(group.plans)):
                inner = f".{place}" if len(group.plans) > 1 else ""
                names[f"blocks.{group.first - 1 + place}.{name}"] = group.attribute(slot) + inner
    return names
