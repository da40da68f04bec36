"""How many points a space has, and which of them a topology is: dynamic programming over the stages of its chain.

What may be decided about a block depends on its slot, on its number, on what its stage decided and, with
`where: same_shape`, on the shape that it sees; on nothing else that was decided before.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from nas.block import Block
from nas.shapes import Wire
from nas.space.chain import Chain, Plan, Run, Slot
from nas.space.decisions import Decision, Range, Trail, Walk, explore
from nas.topology import Topology
from nas.vocabulary import Scalar, Shape

T = TypeVar("T")
Params = dict[str, Scalar]
Shapes = Counter[Shape | None]  # shape that the next block sees → number of ways that lead there


def size(chain: Chain) -> int:
    """The number of ways through the chain, exactly."""

    @functools.cache
    def block_ways(run: Run, slot: Slot, plan: Plan, number: int, x: Shape | None) -> Shapes:
        ways: Shapes = Counter()
        for trail, block in explore(functools.partial(chain.block, run, slot, plan, number, x), _one_of_a_range):
            ways[chain.after(block, x)] += math.prod(len(d.values) for d, _ in trail if isinstance(d, Range))
        return ways

    def stage_ways(run: Run, plan: Plan, before: int, x: Shape | None) -> Shapes:
        seen: Shapes = Counter({x: 1})
        for number, slot in enumerate(run.slots[: plan.blocks], before + 1):
            following: Shapes = Counter()
            for x, ways in seen.items():
                for y, more in block_ways(run, slot, plan, number, x).items():
                    following[y] += ways * more
            seen = following
        return seen

    states = Counter((0, chain.start(stem)) for _, stem in explore(chain.stem))  # blocks so far, shape
    for run in chain.runs:
        reached: Counter[tuple[int, Shape | None]] = Counter()
        for (before, x), ways in states.items():
            for _, plan in explore(functools.partial(chain.plan, run)):
                for y, more in stage_ways(run, plan, before, x).items():
                    reached[before + plan.blocks, y] += ways * more
        states = reached
    return states.total() * sum(1 for _ in explore(chain.head))


def _one_of_a_range(decision: Decision) -> Sequence[Scalar]:
    """All numbers of a range lead to the same: one stands for them."""
    return decision.values[:1] if isinstance(decision, Range) else decision.values


def find(chain: Chain, topology: Topology) -> Params | None:
    """The decisions that lead to the topology, or None where it is no point.

    A width that a block keeps anyway may be written out or not, and a shortcut that aligns nothing may be of any kind.
    """

    @functools.cache
    def rest(place: int, before: int) -> Params | None:
        """The decisions about all stages from this place on, where so many blocks are settled."""
        if place == len(chain.runs):
            return {} if before == len(topology) else None
        run = chain.runs[place]
        for trail, plan in explore(functools.partial(chain.plan, run)):
            end = before + plan.blocks
            if end <= len(topology) and (params := _stage(chain, run, plan, before, topology)) is not None:
                following = rest(place + 1, end)
                if following is not None:
                    return _params(trail) | params | following
        return None

    stem = _matching(chain.stem, lambda stem: stem == topology.stem)
    head = _matching(chain.head, lambda head: head == topology.head)
    blocks = rest(0, 0) if stem is not None and head is not None else None
    return None if stem is None or head is None or blocks is None else stem | blocks | head


def _stage(chain: Chain, run: Run, plan: Plan, before: int, topology: Topology) -> Params | None:
    """The decisions about the blocks of one stage, the first of which has the number before + 1."""
    params: Params = {}
    for number, slot in enumerate(run.slots[: plan.blocks], before + 1):
        block, wire = topology.blocks[number - 1], topology.wiring.wires[number - 1]
        found = _block(chain, run, slot, plan, number, block, wire)
        if found is None:
            return None
        params |= found
    return params


def _block(chain: Chain, run: Run, slot: Slot, plan: Plan, number: int, wanted: Block, wire: Wire) -> Params | None:
    """The decisions about one block; all that it says but its skip is compared first."""
    x = wire.input if chain.follows_shapes else None
    source = wanted.skip.source if wanted.skip is not None else None

    def among(decision: Decision) -> Sequence[Scalar]:
        if isinstance(decision, Range) and source is not None and source in decision.values:
            return (source,)
        return _one_of_a_range(decision)

    for trail, plain in explore(functools.partial(chain.plain, run, slot, plan)):
        made = plain.block()
        if (made.op, made.stride, made.options) == (wanted.op, wanted.stride, wanted.options):
            walk = functools.partial(chain.joined, run, slot, plain, number, x)
            params = _matching(walk, lambda block: _same(block, wanted, wire), among)
            if params is not None:
                return _params(trail) | params
    return None


def _matching(
    walk: Callable[[], Walk[T]],
    accept: Callable[[T], bool],
    among: Callable[[Decision], Sequence[Scalar]] = lambda decision: decision.values,
) -> Params | None:
    """The first decisions that lead to what is accepted."""
    return next((_params(trail) for trail, made in explore(walk, among) if accept(made)), None)


def _params(trail: Trail) -> Params:
    return {decision.name: value for decision, value in trail}


def _same(block: Block, wanted: Block, wire: Wire) -> bool:
    """Whether a block with the op, stride and options of `wanted` is the same in its place in the topology."""
    if (block.width or wire.input.width) != wire.transformed.width:
        return False
    if block.skip is None or wanted.skip is None or wire.align is None:
        return block.skip is wanted.skip
    if (block.skip.kind, block.skip.source) != (wanted.skip.kind, wanted.skip.source):
        return False
    return wire.align.project is None or block.skip.shortcut == wanted.skip.shortcut
