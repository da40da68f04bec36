"""Baselines that are the chain of a space, with one kind of skip around every block, at every size of the space.

    resnet          the largest that fits the limits
    resnet(preact)  the same with the op preact wherever the space offers it
    resnet(each)    every size, from the smallest to the largest

A size is a place in the lists of depths, of widths and of expansions: all stages have their smallest, their largest, or
what is as far in between. Every other choice is the first of its list.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from nas.space.chain import Chain, Ends
from nas.space.decisions import Decision
from nas.topology import Topology
from nas.topology.block import Block
from nas.topology.geometry import Scalar
from nas.topology.vocabulary import JOINS

KIND_OF = {"plain": "none"} | {join.baseline: kind for kind, join in JOINS.items() if join.baseline}
EACH = "each"
SIZES = ("blocks", "width", "expansion")  # the last words of the names of decisions among sizes

Price = Callable[[Topology], Mapping[str, float]]  # topology → {params, flops, memory}, before training


def parse(name: str, chain: Chain) -> tuple[str, str] | None:
    """Return the family and what follows it in brackets ("" for nothing); None for what is no baseline of a chain."""
    found = re.fullmatch(r"(\w+?)(?:\((\w+)\))?", name)
    if found is None or found[1] not in KIND_OF:
        return None
    family, word = found[1], found[2] or ""
    labels = {label for placed in chain.stages for label in placed.stage.labels}
    return (family, word) if word in {"", EACH} | labels else None


def sizes(chain: Chain, family: str, op: str = "") -> list[Ends]:
    """Return the chain with the skip of a family around every block in all its sizes, the smallest first.

    op  the op that is chosen wherever there is a choice with it
    """
    decisions: list[Decision] = []
    largest = functools.partial(_decide, levels=dict.fromkeys(SIZES, 1.0), op=op)

    def note(decision: Decision) -> Scalar:
        decisions.append(decision)
        return largest(decision)

    chain.uniform(KIND_OF[family], note)
    levels = [_levels(name, decisions) for name in SIZES]
    found: list[Ends] = []
    for chosen in itertools.product(*levels):
        ends = chain.uniform(
            KIND_OF[family], functools.partial(_decide, levels=dict(zip(SIZES, chosen, strict=True)), op=op)
        )
        if ends not in found:
            found.append(ends)
    return sorted(found, key=lambda ends: _estimate(ends[1]))


def largest(topologies: Sequence[Topology], limits: Mapping[str, float], price: Price | None) -> Topology:
    """Return the largest of topologies in rising order that is within the limits; the smallest if none is.

    Without a price nothing is known about limits, and the last one is returned.
    """

    def over(topology: Topology) -> bool:
        costs = price(topology) if price is not None and limits else {}
        return any(costs[name] > bound for name, bound in limits.items() if name in costs)

    if not over(topologies[-1]):
        return topologies[-1]
    return topologies[max(0, bisect.bisect_left(topologies, True, hi=len(topologies) - 1, key=over) - 1)]


def _levels(name: str, decisions: Iterable[Decision]) -> list[float]:
    """Return the places in the lists of one kind of size: 0 is the smallest of each list, and 1 the largest."""
    count = max((len(decision.values) for decision in decisions if _is_size(decision, name)), default=1)
    return [place / max(1, count - 1) for place in range(count)]


def _decide(decision: Decision, levels: Mapping[str, float], op: str) -> Scalar:
    """Return the value of a decision at these levels."""
    if op in decision.values:
        return op
    for name, level in levels.items():
        if _is_size(decision, name):
            ordered = sorted(decision.values)
            return ordered[round(level * (len(ordered) - 1))]
    return decision.values[0]


def _is_size(decision: Decision, name: str) -> bool:
    return decision.name.endswith(f".{name}") and all(type(value) is int for value in decision.values)


def _estimate(blocks: Sequence[Block]) -> tuple[int, int]:
    """Return what grows with the number of parameters: the squares of all widths, then the number of blocks."""
    return sum((block.width or 0) ** 2 for block in blocks), len(blocks)
