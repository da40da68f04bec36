"""Divide a blueprint into groups of blocks that one line of `forward` runs, and name the modules of each group.

A group is one block, or several consecutive blocks with the same line, which is written as a loop. Its modules are
attributes named after the blocks: `block3`, `project3`, `gate3`, `norm3` of one block, and `blocks4_9`, `gates4_9`,
`norms4_9` of several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas.network.blueprint import BlockPlan, Blueprint, Call
from nas.topology.vocabulary import JOINS

WITH_PARAMETERS = tuple(kind for kind, join in JOINS.items() if join.expression is None)
SLOTS = ("block", "project", *WITH_PARAMETERS, "norm")
PLACES = {"block": "transform", "project": "project", "norm": "after"}  # slot → attribute of a built block
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
        return {slot: tuple(calls[slot] for calls in every) for slot in SLOTS if slot in every[0]}

    def attribute(self, slot: str) -> str:
        """Return the name of the attribute that holds the modules of the slot."""
        return f"{slot}{self.first}" if len(self.plans) == 1 else f"{slot}s{self.first}_{self.last}"

    @property
    def is_sequence(self) -> bool:
        """Whether the group is a loop of x = block(x), which is written as an nn.Sequential."""
        return len(self.plans) > 1 and self.plans[0].join is None and self.plans[0].after is None


def exported_modules(plan: BlockPlan) -> Modules:
    """Return the modules of a block in the exported file; plain joins and activations are written as expressions."""
    slots = {
        "block": plan.transform if plan.transform.name != "nn.Identity" else None,
        "project": plan.project,
        **{kind: plan.join if plan.kind == kind else None for kind in WITH_PARAMETERS},
        "norm": plan.after if plan.after and plan.after.name == "nn.LayerNorm" else None,
    }
    return tuple((slot, call) for slot, call in slots.items() if call is not None)


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
    long = plan.source is not None and not plan.short
    if long or plan.resize or plan.project or plan.shared or plan.transform.name == "nn.Identity":
        return ()
    return ("line", *(str(Call(call.name)) if call else "" for call in (plan.join, plan.after)))


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
    places = dict.fromkeys(WITH_PARAMETERS, "join") | PLACES
    names = {}
    for group in group_blocks(plan):
        for slot in group.modules:
            for place in range(len(group.plans)):
                inner = f".{place}" if len(group.plans) > 1 else ""
                names[f"blocks.{group.first - 1 + place}.{places[slot]}"] = group.attribute(slot) + inner
    return names
