"""How many points a space has, and which of them a topology is: dynamic programming over the stages of its chain.

What may be decided about a block depends on its slot, on its number, on what its stage decided and, with
`where: same_shape`, on the shape that it sees; on nothing else that was decided before.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nas.space.chain import Chain, PlacedStage, Plain, Plan, Slot
from nas.space.decisions import Decision, Range, Trail, Walk, explore
from nas.topology import Topology
from nas.topology.block import Block
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import Wire

T = TypeVar("T")
Params = dict[str, Scalar]
Shapes = Counter[Shape | None]  # shape that the next block sees → number of ways that lead there


def size(chain: Chain) -> int:
    """The number of ways through the chain, exactly."""

    @functools.cache
    def skips(placed: PlacedStage, long: bool, label: str, number: int) -> int:
        """The number of skips around a block."""
        walk = functools.partial(chain.bypass, placed, Slot("", False, long), label, number)
        ranges = ([d for d, _ in trail if isinstance(d, Range)] for trail, _ in explore(walk, _one_of_a_range))
        return sum(math.prod(len(decision.values) for decision in way) for way in ranges)

    @functools.cache
    def plains(placed: PlacedStage, first: bool, plan: Plan) -> list[Plain]:
        return [plain for _, plain in explore(functools.partial(chain.plain, placed, Slot("", first, False), plan))]

    def after(placed: PlacedStage, slot: Slot, plan: Plan, number: int, seen: Shapes) -> Shapes:
        """What the block after this one sees."""
        following: Shapes = Counter()
        for plain in plains(placed, slot.first, plan):
            for x, ways in seen.items():
                skippable = chain.skippable(placed, plain, x)
                more = skips(placed, slot.long, plain.setting.label, number) if skippable else 1
                following[x if x is None else chain.after(plain.block(), x)] += ways * more
        return following

    states = Counter((0, chain.start(stem)) for _, stem in explore(chain.stem))  # blocks so far, what the next one sees
    for placed in chain.stages:
        depths = placed.stage.blocks
        reached = Counter(states) if 0 in depths else Counter()
        for (before, x), ways in states.items():
            for _, plan in chain.plans(placed):
                seen: Shapes = Counter({x: ways})
                for depth, slot in enumerate(placed.slots, 1):
                    seen = after(placed, slot, plan, before + depth, seen)
                    if depth in depths:
                        reached.update({(before + depth, y): more for y, more in seen.items()})
        states = reached
    return states.total() * sum(1 for _ in explore(chain.head))


def find(chain: Chain, topology: Topology) -> Params | None:
    """The decisions that lead to the topology, or None where it is no point.

    Where they lead to nothing but equals, to one of these: a width that a block keeps anyway may be written out or
    not, and a shortcut that aligns nothing may be of any kind.
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
    """The decisions that lead to the blocks of a topology, or to blocks that are `alike`; None where there are none."""

    chain: Chain
    topology: Topology
    alike: Callable[[Block, Block, Wire], bool]

    def stages(self) -> Params | None:
        @functools.cache
        def rest(place: int, before: int) -> Params | None:
            """The decisions about all stages from this place on, where so many blocks are settled."""
            if place == len(self.chain.stages):
                return {} if before == len(self.topology) else None
            for depth, params in self.depths(self.chain.stages[place], before):
                if (following := rest(place + 1, before + depth)) is not None:
                    return params | following
            return None

        return rest(0, 0)

    def depths(self, placed: PlacedStage, before: int) -> Iterator[tuple[int, Params]]:
        """Every number of blocks that the stage may be of the topology, with the decisions about them."""
        depths = placed.stage.blocks
        named = [placed.depth] if len(depths) > 1 else []
        if 0 in depths:
            yield 0, dict.fromkeys(named, 0)
        for trail, plan in self.chain.plans(placed):
            params = _params(trail)
            for depth, slot in enumerate(placed.slots[: len(self.topology) - before], 1):
                found = self.block(placed, slot, plan, before + depth)
                if found is None:
                    break
                params |= found
                if depth in depths:
                    yield depth, params | dict.fromkeys(named, depth)

    def block(self, placed: PlacedStage, slot: Slot, plan: Plan, number: int) -> Params | None:
        """The decisions about one block; all that it says but its skip is compared first."""
        wanted, wire = self.topology.blocks[number - 1], self.topology.wiring.wires[number - 1]
        x = wire.input if self.chain.follows_shapes else None
        source = wanted.skip.source if wanted.skip is not None else None

        def among(decision: Decision) -> Sequence[Scalar]:
            if isinstance(decision, Range) and source is not None and source in decision.values:
                return (source,)
            return _one_of_a_range(decision)

        for trail, plain in explore(functools.partial(self.chain.plain, placed, slot, plan)):
            made = plain.block()
            if (made.op, made.stride, made.options) == (wanted.op, wanted.stride, wanted.options):
                walk = functools.partial(self.chain.joined, placed, slot, plain, number, x)
                params = _leading_to(walk, lambda block: self.alike(block, wanted, wire), among)
                if params is not None:
                    return _params(trail) | params
        return None


def _identical(block: Block, wanted: Block, wire: Wire) -> bool:
    return block == wanted


def _equal(block: Block, wanted: Block, wire: Wire) -> bool:
    """Whether a block with the op, stride and options of `wanted` computes the same in its place in the topology."""
    if (block.width or wire.input.width) != wire.transformed.width:
        return False
    if block.skip is None or wanted.skip is None or wire.align is None:
        return block.skip is wanted.skip
    if (block.skip.kind, block.skip.source) != (wanted.skip.kind, wanted.skip.source):
        return False
    return wire.align.project is None or block.skip.shortcut == wanted.skip.shortcut


def _one_of_a_range(decision: Decision) -> Sequence[Scalar]:
    """All numbers of a range lead to alike decisions: one stands for them."""
    return decision.values[:1] if isinstance(decision, Range) else decision.values


def _leading_to(
    walk: Callable[[], Walk[T]],
    accept: Callable[[T], bool],
    among: Callable[[Decision], Sequence[Scalar]] = lambda decision: decision.values,
) -> Params | None:
    """The first decisions that lead to what is accepted."""
    return next((_params(trail) for trail, made in explore(walk, among) if accept(made)), None)


def _params(trail: Trail) -> Params:
    return {decision.name: value for decision, value in trail}
