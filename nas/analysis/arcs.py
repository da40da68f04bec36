"""Compute the arc diagram of a topology: nodes on a line, and an arc from the source of every skip to its block.

`arc_svg` (draw_svg.py) draws it for a page and `arc_text` (draw_text.py) for a terminal.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nas.topology import Topology


@dataclass(frozen=True, slots=True)
class Arc:
    """A skip from the output of node `source` to node `target` (node 0 is the stem, node i is block i)."""

    source: int
    target: int
    kind: str
    align: str

    @property
    def span(self) -> int:
        """The number of blocks that the arc spans; 1 for a short skip."""
        return self.target - self.source


@dataclass(frozen=True, slots=True)
class NodeRun:
    """Consecutive nodes, `first` to `last`, with one label: their common resolution or op."""

    first: int
    last: int
    label: str

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def short(self) -> str:
        """The first number or word of the label: `8` of `8×8`, `197` of `197 tokens`."""
        return re.split("[× ]", self.label)[0]


def list_arcs(topology: Topology) -> tuple[Arc, ...]:
    """Return every skip of the topology as an arc, in the order of the blocks."""
    found = []
    for number, (block, wire) in enumerate(zip(topology.blocks, topology.wiring.wires, strict=True), 1):
        pairs = zip(block.skips, wire.bypasses, strict=True)
        found += [Arc(bypass.source, number, skip.kind, str(bypass.align)) for skip, bypass in pairs]
    return tuple(found)


def arc_heights(drawn: Sequence[Arc]) -> dict[Arc, int]:
    """Return the height of every arc: one more than the highest arc that it spans, so that nested arcs never touch.

    Two arcs that overlap only partly have different heights as well, so that they cross at a right angle.
    """
    highest = [0] * max((arc.target for arc in drawn), default=0)  # above the edge from node i to node i + 1
    heights = {}
    for arc in sorted(drawn, key=lambda arc: (arc.span, arc.source)):
        heights[arc] = 1 + max(highest[arc.source : arc.target])
        highest[arc.source : arc.target] = [heights[arc]] * arc.span
    return heights


def runs_by_size(topology: Topology) -> list[NodeRun]:
    """Return the runs of nodes of equal resolution; the label is `8×8`, `197 tokens`, or "" for a vector."""
    units = {"vector": "", "sequence": " tokens", "image": ""}
    return _runs(["×".join(map(str, shape.size)) + units[shape.layout] for shape in topology.wiring.nodes])


def runs_by_op(topology: Topology) -> list[NodeRun]:
    """Return the runs of nodes with the same op, the stem first; the label is `basic` or `basic × 4`."""
    runs = _runs([topology.stem.op, *(block.op for block in topology.blocks)], apart=1)
    return [NodeRun(run.first, run.last, run.label + (f" × {len(run)}" if len(run) > 1 else "")) for run in runs]


def width_range(topology: Topology, run: NodeRun) -> str:
    """Return the channels along a run: `16`; `64 → 256` if they only grow or only shrink; otherwise `16–48`."""
    inside = [shape.width for shape in topology.wiring.nodes[run.first : run.last + 1]]
    low, high = min(inside), max(inside)
    if low == high:
        return str(low)
    steady = inside in (sorted(inside), sorted(inside, reverse=True))
    return f"{inside[0]} → {inside[-1]}" if steady else f"{low}–{high}"


def count_text(total: int, far: int) -> str:
    """Return how many skips there are, and how many of them are long: `5`, `5, 2 long`, `5 long`."""
    return f"{total} long" if total == far else f"{total}, {far} long" if far else f"{total}"


def _runs(labels: Sequence[str], apart: int = 0) -> list[NodeRun]:
    """Return the runs of equal labels; a run never contains both one of the first `apart` nodes and a later node."""
    runs, first = [], 0
    for _, group in itertools.groupby(enumerate(labels), key=lambda pair: (pair[0] < apart, pair[1])):
        members = list(group)
        runs.append(NodeRun(first, first + len(members) - 1, members[0][1]))
        first += len(members)
    return runs
