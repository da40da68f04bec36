"""The arc diagram of a topology: nodes on a line, every skip an arc from its source to its block.

`arc_svg` (draw_svg.py) draws it for a page, `arc_text` (draw_text.py) for a terminal; here is what both of them draw.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nas.topology import Topology


@dataclass(frozen=True, slots=True)
class Arc:
    """A skip: node `target` joins the output of node `source` (node 0 is the stem, node i is block i)."""

    source: int
    target: int
    kind: str
    align: str

    @property
    def span(self) -> int:
        return self.target - self.source


@dataclass(frozen=True, slots=True)
class NodeRun:
    """The nodes first … last, which are alike in something: their resolution, their op."""

    first: int
    last: int
    label: str

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def short(self) -> str:
        """The label's first number or word: `8` of `8×8`, `197` of `197 tokens`."""
        return re.split("[× ]", self.label)[0]


def list_arcs(topology: Topology) -> tuple[Arc, ...]:
    """Every skip of the topology, in the order of its blocks."""
    found = []
    for number, (block, wire) in enumerate(zip(topology.blocks, topology.wiring.wires, strict=True), 1):
        if block.skip is not None and wire.source is not None:
            found.append(Arc(wire.source, number, block.skip.kind, str(wire.align)))
    return tuple(found)


def arc_heights(drawn: Sequence[Arc]) -> dict[Arc, int]:
    """The height of every arc: one more than the highest that it spans, so that nested arcs never touch.

    Two arcs that overlap only partly get different heights too: where they meet, they cross at a right angle.
    """
    highest = [0] * max((arc.target for arc in drawn), default=0)  # above the edge from node i to node i + 1
    heights = {}
    for arc in sorted(drawn, key=lambda arc: (arc.span, arc.source)):
        heights[arc] = 1 + max(highest[arc.source : arc.target])
        highest[arc.source : arc.target] = [heights[arc]] * arc.span
    return heights


def runs_by_size(topology: Topology) -> list[NodeRun]:
    """Runs of nodes of equal resolution; the label is `8×8`, `197 tokens` or nothing for a vector."""
    units = {"vector": "", "sequence": " tokens", "image": ""}
    return _runs(["×".join(map(str, shape.size)) + units[shape.layout] for shape in topology.wiring.nodes])


def runs_by_op(topology: Topology) -> list[NodeRun]:
    """Runs of nodes of the same op, the stem's first; the label is `basic` or `basic × 4`."""
    runs = _runs([topology.stem.op, *(block.op for block in topology.blocks)], apart=1)
    return [NodeRun(run.first, run.last, run.label + (f" × {len(run)}" if len(run) > 1 else "")) for run in runs]


def width_range(topology: Topology, run: NodeRun) -> str:
    """The channels along a run: `16`; `64 → 256` where they only grow or only shrink; else `16–48`."""
    inside = [shape.width for shape in topology.wiring.nodes[run.first : run.last + 1]]
    low, high = min(inside), max(inside)
    if low == high:
        return str(low)
    steady = inside in (sorted(inside), sorted(inside, reverse=True))
    return f"{inside[0]} → {inside[-1]}" if steady else f"{low}–{high}"


def count_text(total: int, far: int) -> str:
    """`5`, `5, 2 long`, `5 long`: how many skips of a kind, and how many of them are long."""
    return f"{total} long" if total == far else f"{total}, {far} long" if far else f"{total}"


def _runs(labels: Sequence[str], apart: int = 0) -> list[NodeRun]:
    """Runs of equal labels; the first `apart` nodes are never joined with what follows."""
    runs, first = [], 0
    for _, group in itertools.groupby(enumerate(labels), key=lambda pair: (pair[0] < apart, pair[1])):
        members = list(group)
        runs.append(NodeRun(first, first + len(members) - 1, members[0][1]))
        first += len(members)
    return runs
