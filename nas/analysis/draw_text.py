"""Draw the arc diagram for a terminal, in box characters; a wide diagram is wrapped like text.

```
          ╭╌╌╌╌╌╌╌╌╌╌╮
  ╭───────┼──╮       ╎      the mark before a node is its join: `+3` adds, `&2` concatenates, `~5` gates,
  ├──╮╔══╗╎  │       ╎      `×3` multiplies, `4` has no skip
  0──+1──&2──+3───4──~5
 ╰─── 8×8 · 16–32 ────╯     the resolution and the channels of the nodes above
```
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from rich.text import Text

from nas.analysis.arcs import Arc, NodeRun, arc_heights, count_text, list_arcs, runs_by_size, width_range
from nas.topology import Topology
from nas.topology.vocabulary import JOINS

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
_FORK = {"║": "╠", "┃": "┣"}  # two arcs start at one node; dashed lines have the crossings of light ones
_CROSS = {"║": "╬", "┃": "╋"}

Cell = tuple[int, str]  # the directions of its strokes, and the kind of skip that was drawn last
Canvas = dict[tuple[int, int], Cell]


@dataclass(frozen=True, slots=True)
class TextGrid:
    """The columns of the nodes in a terminal: each node has a gap, the mark of its join, and its number.

    nodes   the number of nodes, the stem included
    digits  the columns of a node's number
    gap     the columns between two nodes
    """

    nodes: int
    digits: int
    gap: int

    @property
    def cell(self) -> int:
        """The columns of one node."""
        return self.gap + 1 + self.digits

    def arrives(self, node: int) -> int:
        """Return the column of the mark, where an arc ends."""
        return node * self.cell + self.gap

    def leaves(self, node: int) -> int:
        """Return the column of the last digit, where an arc starts."""
        return (node + 1) * self.cell - 1

    def columns(self, nodes: range) -> range:
        """Return the columns of these nodes."""
        return range(nodes.start * self.cell, nodes.stop * self.cell)

    @classmethod
    def fitting(cls, nodes: int, width: int) -> TextGrid:
        """Return the grid with the widest gap, 1 to 4, that has all nodes in one line; with gap 1 if none has."""
        digits = len(str(nodes - 1))
        return cls(nodes, digits, min(4, max(1, width // nodes - 1 - digits)))


def arc_text(topology: Topology, width: int = 80) -> Text:
    """Return the diagram in lines of at most `width` columns: arcs, chain, resolutions and channels, legend."""
    drawn, grid = list_arcs(topology), TextGrid.fitting(len(topology) + 1, width)
    canvas, top = _draw(drawn, grid), max(arc_heights(drawn).values(), default=0)
    lines = math.ceil(grid.nodes / max(1, width // grid.cell))
    across = math.ceil(grid.nodes / lines)
    systems = []
    for first in range(0, grid.nodes, across):
        nodes = range(first, min(first + across, grid.nodes))
        rows = [_row(canvas, level, grid.columns(nodes)) for level in range(top, 0, -1)]
        rows = [row for row in rows if not set(row.plain) <= set(" │║┃╎")]  # no arc turns in this row
        systems.append(Text("\n").join([*rows, _chain(topology, grid, nodes), _below(topology, grid, nodes)]))
    return Text("\n\n").join([*systems, _legend(drawn, width)])


def _draw(drawn: tuple[Arc, ...], grid: TextGrid) -> Canvas:
    """Draw every arc: up from its source, across at its height, and down to its target."""
    canvas: Canvas = {}
    heights = arc_heights(drawn)
    for arc in sorted(drawn, key=lambda arc: heights[arc]):
        left, right, height = grid.leaves(arc.source), grid.arrives(arc.target), heights[arc]
        for column in range(left + 1, right):
            _stroke(canvas, height, column, LEFT | RIGHT, arc.kind)
        for column, turn in ((left, RIGHT | DOWN), (right, LEFT | DOWN)):
            _stroke(canvas, height, column, turn, arc.kind)
            for level in range(1, height):
                _stroke(canvas, level, column, UP | DOWN, arc.kind)
    return canvas


def _stroke(canvas: Canvas, level: int, column: int, strokes: int, kind: str) -> None:
    canvas[level, column] = (canvas.get((level, column), (0, kind))[0] | strokes, kind)


def _row(canvas: Canvas, level: int, columns: range) -> Text:
    row = Text()
    for column in columns:
        strokes, kind = canvas.get((level, column), (0, ""))
        row.append(_character(strokes, kind), JOINS[kind].terminal if kind else "")
    row.rstrip()
    return row


def _character(strokes: int, kind: str) -> str:
    if not strokes:
        return " "
    across, down, left, right = JOINS[kind].strokes
    plain = {LEFT | RIGHT: across, UP | DOWN: down, DOWN | RIGHT: left, DOWN | LEFT: right}
    if strokes in plain:
        return plain[strokes]
    return _FORK.get(down, "├") if not strokes & LEFT else _CROSS.get(down, "┼")


def _chain(topology: Topology, grid: TextGrid, nodes: range) -> Text:
    """Return the line of the nodes, such as `─+3`: the mark of the join, then the number of the node."""
    kinds = {arc.target: arc.kind for arc in list_arcs(topology)}
    chain = Text()
    for node in nodes:
        kind, label = kinds.get(node), str(node)
        line = " " if node == 0 else "─"
        chain.append(line * (grid.gap + (kind is None)), "dim")
        if kind is not None:
            chain.append(JOINS[kind].symbol, JOINS[kind].terminal)
        chain.append(line * (grid.digits - len(label)), "dim").append(label, "bold")
    return chain


def _below(topology: Topology, grid: TextGrid, nodes: range) -> Text:
    """Return the line with the resolution and the channels of every run of nodes, shortened to the room there is."""
    offset, over = nodes.start * grid.cell, (grid.gap - 1) // 2  # a bracket reaches a little into both gaps
    line = ""
    for run in runs_by_size(topology):
        first, last = max(run.first, nodes.start), min(run.last, nodes.stop - 1)
        if first <= last:
            start, end = grid.arrives(first) - over - offset, grid.leaves(last) + over - offset
            end = min(end, len(nodes) * grid.cell - 1)
            line = line.ljust(start) + f"╰{_centred(_labels(topology, run), end - start - 1)}╯"
    return Text(line, "dim")


def _labels(topology: Topology, run: NodeRun) -> tuple[str, ...]:
    """Return the possible labels of a run, the longest first."""
    channels = width_range(topology, run).replace(" ", "")
    if not run.label:
        return (f" {channels} ", channels, "")
    full, size = f"{run.label} · {channels}", run.label
    return (f" {full} ", full, f" {size} ", size, f" {run.short} ", run.short, "")


def _centred(labels: tuple[str, ...], room: int) -> str:
    """Return the first label that fits, in the middle of a line of dashes."""
    return next(label for label in labels if len(label) <= room).center(room, "─")


def _legend(drawn: tuple[Arc, ...], width: int) -> Text:
    """Return the stroke and the count of each kind of skip that occurs, in one line if they fit."""
    if not drawn:
        return Text("no skips", "dim")
    total, far = Counter(arc.kind for arc in drawn), Counter(arc.kind for arc in drawn if arc.span > 1)
    entries = []
    for kind in (kind for kind in JOINS if total[kind]):
        across, _, left, right = JOINS[kind].strokes
        entry = Text(f"{left}{across}{right} {kind}", JOINS[kind].terminal)
        entries.append(entry.append(f" {count_text(total[kind], far[kind])}", "default"))
    together = sum(len(entry) + 3 for entry in entries) - 3 <= width
    return Text("   " if together else "\n").join(entries)
