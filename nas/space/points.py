"""The number of points of a space, and the point that a topology is: dynamic programming over the stages.

The decisions about a block depend on its place, on its number, on the decisions about its stage and, with
`where: same_shape`, on the shape of its input; on no other decision before.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from nas.space.chain import BlockPlace, Chain, PlacedStage, Plain, Plan
from nas.space.decisions import Decision, Range, Trail, Walk, explore
from nas.space.skips import scale_of
from nas.topology import Topology
from nas.topology.block import Block, Skip
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import Bypass

T = TypeVar("T")
SKIP_DECISION = re.compile(r"\.skip(\d*)(\.\w+)*$")  # block03.skip, block03.skip2, block03.skip2.source
Params = dict[str, Scalar]
Shapes = Counter[Shape | None]  # shape of the next block's input → number of ways that lead to it


def size(chain: Chain) -> int:
    """Return the exact number of ways through the chain."""

    @functools.cache
    def skips(placed: PlacedStage, long: bool, label: str, number: int) -> int:
        """Return in how many ways the skips of a block may be chosen."""
        alone = replace(placed, skips=placed.skips.model_copy(update={"at_most": 1}))
        none, one = 0, 0
        for ways, made in _counted(functools.partial(chain.bypass, alone, BlockPlace("", False, long), label, number)):
            none, one = (none, one + ways) if made.skips else (none + ways, one)
        most, more = placed.skips.at_most, 0
        if most > 1 and long:
            more = sum(ways for ways, _ in _counted(functools.partial(chain.further, placed, "", number)))
        total: int = none + one * sum(more**further for further in range(most))
        return total

    @functools.cache
    def plains(placed: PlacedStage, first: bool, plan: Plan) -> list[Plain]:
        return [
            plain for _, plain in explore(functools.partial(chain.plain, placed, BlockPlace("", first, False), plan))
        ]

    def after(placed: PlacedStage, at: BlockPlace, plan: Plan, number: int, seen: Shapes) -> Shapes:
        """Return the shapes that the next block may have as input, with the number of ways to each."""
        following: Shapes = Counter()
        for plain in plains(placed, at.first, plan):
            for x, ways in seen.items():
                skippable = chain.skippable(placed, plain, x)
                more = skips(placed, at.long, plain.setting.label, number) if skippable else 1
                following[x if x is None else chain.after(plain.block(), x)] += ways * more
        return following

    states = Counter((0, chain.start(stem)) for _, stem in explore(chain.stem))  # blocks so far, what the next one sees
    for placed in chain.stages:
        depths = placed.stage.blocks
        reached = Counter(states) if 0 in depths else Counter()
        for (before, x), ways in states.items():
            for _, plan in chain.plans(placed):
                seen: Shapes = Counter({x: ways})
                for depth, at in enumerate(placed.places, 1):
                    seen = after(placed, at, plan, before + depth, seen)
                    if depth in depths:
                        reached.update({(before + depth, y): more for y, more in seen.items()})
        states = reached
    return states.total() * sum(1 for _ in explore(chain.head))


def find(chain: Chain, topology: Topology) -> Params | None:
    """Return the decisions that lead to the topology, or None where it is no point of the space.

    If none lead to it exactly, they may lead to an equal one: a width that a block keeps anyway may be written out or
    not, a shortcut that aligns nothing may be of any kind, and an `auto` may be the number that it stands for.
    """
    stem = _leading_to(chain.stem, lambda stem: stem == topology.stem)
    head = _leading_to(chain.head, lambda head: head == topology.head)
    if stem is None or head is None:
        return None
    for alike in (_identical, _equal):
        if (blocks := _Matching(chain, topology, alike).stages()) is not None:
            return stem | blocks | head
    return None


@dataclass(frozen=True)
class _Matching:
    """A search for the decisions that lead to the blocks of a topology, as `alike` compares blocks."""

    chain: Chain
    topology: Topology
    alike: Callable[[Topology, int, Block], bool]

    def stages(self) -> Params | None:
        """Return the decisions about all stages; None where none lead to the topology."""

        @functools.cache
        def rest(place: int, before: int) -> Params | None:
            """Return the decisions about the stages from `place` on, after `before` blocks."""
            if place == len(self.chain.stages):
                return {} if before == len(self.topology) else None
            for depth, params in self.depths(self.chain.stages[place], before):
                if (following := rest(place + 1, before + depth)) is not None:
                    return params | following
            return None

        return rest(0, 0)

    def depths(self, placed: PlacedStage, before: int) -> Iterator[tuple[int, Params]]:
        """Yield every number of blocks of the topology that the stage may be, with the decisions about them."""
        depths = placed.stage.blocks
        named = [placed.depth] if len(depths) > 1 else []
        if 0 in depths:
            yield 0, dict.fromkeys(named, 0)
        for trail, plan in self.chain.plans(placed):
            params = _params(trail)
            for depth, at in enumerate(placed.places[: len(self.topology) - before], 1):
                found = self.block(placed, at, plan, before + depth)
                if found is None:
                    break
                params |= found
                if depth in depths:
                    yield depth, params | dict.fromkeys(named, depth)

    def block(self, placed: PlacedStage, at: BlockPlace, plan: Plan, number: int) -> Params | None:
        """Return the decisions about one block; everything but its skips is compared first."""
        wanted = self.topology.blocks[number - 1]
        among = functools.partial(_leading_to_skips, wanted.skips)
        x = self.topology.wiring.wires[number - 1].input if self.chain.follows_shapes else None
        for trail, plain in explore(functools.partial(self.chain.plain, placed, at, plan)):
            made = plain.block()
            if (made.op, made.stride, made.options) == (wanted.op, wanted.stride, wanted.options):
                walk = functools.partial(self.chain.joined, placed, at, plain, number, x)
                params = _leading_to(walk, lambda block: self.alike(self.topology, number, block), among)
                if params is not None:
                    return _params(trail) | params
        return None


def _identical(topology: Topology, number: int, block: Block) -> bool:
    return block == topology.blocks[number - 1]


def _equal(topology: Topology, number: int, block: Block) -> bool:
    """Return whether a block with the op, stride and options of block `number` computes the same in its place."""
    block, wanted, wire = topology.settle(block), topology.settled[number - 1], topology.wiring.wires[number - 1]
    if (block.width or wire.input.width) != wire.transformed.width or block.branch != wanted.branch:
        return False
    if len(block.skips) != len(wanted.skips):
        return False
    return all(map(_equal_skip, block.skips, wanted.skips, wire.bypasses))


def _equal_skip(skip: Skip, wanted: Skip, bypass: Bypass) -> bool:
    if replace(skip, shortcut="project") != replace(wanted, shortcut="project"):
        return False
    return bypass.align.project is None or skip.shortcut == wanted.shortcut


def _leading_to_skips(wanted: Sequence[Skip], decision: Decision) -> Sequence[Scalar]:
    """Return the values of a decision that may lead to these skips; of a range that tells nothing, one number."""
    found = SKIP_DECISION.search(decision.name)
    place = int(found[1] or 1) - 1 if found else 0
    skip = wanted[place] if place < len(wanted) else None
    if isinstance(decision, Range):
        source = None if skip is None else skip.source
        return (source,) if source is not None and source in decision.values else _one_of_a_range(decision)
    detail = decision.name.rpartition(".")[2]
    if found and not found[2]:  # the kind of a skip
        kind = "none" if skip is None else skip.kind if skip.source is None else "long"
        return _either(decision, kind)
    if skip is not None and detail == "join":
        return _either(decision, skip.kind)
    if skip is not None and detail == "scale":
        return [word for word in decision.values if scale_of(word) == skip.scale] or decision.values
    return decision.values


def _either(decision: Decision, value: str) -> Sequence[Scalar]:
    """Return this value alone if it is one of the decision's; otherwise all of them."""
    return (value,) if value in decision.values else decision.values


def _counted(walk: Callable[[], Walk[T]]) -> Iterator[tuple[int, T]]:
    """Yield the result of every way through a walk, with one number of each range, and the number of such ways."""
    for trail, made in explore(walk, _one_of_a_range):
        yield math.prod(len(decision.values) for decision, _ in trail if isinstance(decision, Range)), made


def _one_of_a_range(decision: Decision) -> Sequence[Scalar]:
    """Return one number of a range, for all of them lead to the same later decisions."""
    return decision.values[:1] if isinstance(decision, Range) else decision.values


def _leading_to(
    walk: Callable[[], Walk[T]],
    accept: Callable[[T], bool],
    among: Callable[[Decision], Sequence[Scalar]] = lambda decision: decision.values,
) -> Params | None:
    """Return the first decisions whose result is accepted; None where none is."""
    return next((_params(trail) for trail, made in explore(walk, among) if accept(made)), None)


def _params(trail: Trail) -> Params:
    return {decision.name: value for decision, value in trail}
