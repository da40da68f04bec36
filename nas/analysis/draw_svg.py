"""Draw the arc diagram as an SVG: arcs above the chain of nodes, resolutions and channels below it.

The file works on light and dark pages, and has no script and no font; every shape has a <title>.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from html import escape

from nas.analysis.arcs import Arc, NodeRun, count_text, list_arcs, runs_by_op, runs_by_size, width_range
from nas.topology import Topology
from nas.topology.vocabulary import JOINS

MARGIN = 16.0
TALLEST = 230.0  # the height of the highest arc
LETTER = 0.56  # the mean width of a letter, in ems


@dataclass(frozen=True, slots=True)
class SvgGrid:
    """The places and sizes in the diagram, in pixels.

    nodes    the number of nodes, the stem included
    longest  the span of the longest arc
    """

    nodes: int
    longest: int

    @property
    def step(self) -> float:
        """The distance of two nodes: wider for few nodes, and never too narrow for a dot."""
        return min(72.0, max(15.0, 920.0 / self.nodes))

    @property
    def numbered(self) -> bool:
        """Whether the nodes are large enough for a number inside."""
        return self.step >= 30

    @property
    def radius(self) -> float:
        """The radius of a node."""
        return min(13.0, 0.32 * self.step) if self.numbered else 0.24 * self.step

    @property
    def width(self) -> float:
        """The width of the diagram."""
        return max(560.0, self.nodes * self.step + 2 * MARGIN)  # 560: the legend has room for every kind

    def x(self, node: float) -> float:
        """Return the x coordinate of a node; of a place between two nodes for a fraction."""
        return MARGIN + (node + 0.5) * self.step

    def height(self, span: int) -> float:
        """Return the height of an arc, which grows as span^0.8.

        With a power above ½, nested ellipses never touch, even if they share an end.
        """
        unit = min(0.62 * self.step, TALLEST / math.pow(max(1, self.longest), 0.8))
        return unit * math.pow(span, 0.8) + self.radius


def arc_svg(topology: Topology, title: str = "") -> str:
    """Return the diagram as one <svg> element; a title is written above the arcs."""
    drawn = list_arcs(topology)
    grid = SvgGrid(len(topology) + 1, max((arc.span for arc in drawn), default=0))
    top = (40.0 if title else 14.0) + (grid.height(grid.longest) if drawn else grid.radius)
    bands, depth = _bands(topology, grid, top + grid.radius + (10 if grid.numbered else 22))
    names, depth = _names(topology, grid, depth + 16)
    legend = list(_legend(drawn, depth + 22))
    parts = [
        *([f'<text class="title" x="{MARGIN}" y="28">{escape(title)}</text>'] if title else []),
        *bands,
        *names,
        f'<line class="chain" x1="{grid.x(0):.1f}" y1="{top:.1f}" x2="{grid.x(len(topology)):.1f}" y2="{top:.1f}"/>',
        *(_arc(arc, grid, top) for arc in sorted(drawn, key=lambda arc: -arc.span)),
        *_nodes(topology, drawn, grid, top),
        *legend,
    ]
    return _frame(grid.width, depth + 44, title or topology.describe(), parts, {arc.kind for arc in drawn})


def _frame(width: float, height: float, label: str, parts: list[str], kinds: Container[str]) -> str:
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="arcs" role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
    )
    return "\n".join([opening, _style(kinds), '<rect class="paper" width="100%" height="100%"/>', *parts, "</svg>", ""])


def _style(kinds: Container[str]) -> str:
    """Return the style sheet, without CSS variables, which Inkscape and librsvg do not read.

    It has the usual kinds of skip, and others where they are among `kinds`.
    """
    rules, looks = [_SHAPE], {kind: look for kind, look in JOINS.items() if not look.together or kind in kinds}
    for kind, look in looks.items():
        rules.append(f".arcs path.{kind}{{stroke-dasharray:{look.dash}}}")
        rules.append(f".arcs path.{kind}.fine{{stroke-dasharray:{_half(look.dash)}}}")
    rules.append(_colours("#ffffff", "#1b2330", "#6a7485", "#c3cad5", "#eef1f5"))
    rules += [_kind(kind, look.light) for kind, look in looks.items()]
    rules.append("@media (prefers-color-scheme: dark){")
    rules.append(_colours("#14181f", "#e8ecf2", "#97a1b2", "#3c4553", "#212731"))
    rules += [_kind(kind, look.dark) for kind, look in looks.items()]
    return "\n".join(["<style>", *rules, "}", "</style>"])


_SHAPE = """\
.arcs text{font:11px ui-sans-serif,system-ui,sans-serif}
.arcs .small{font-size:10px} .arcs .title{font-size:15px} .arcs .title,.arcs .strong{font-weight:600}
.arcs .middle{text-anchor:middle} .arcs .chain,.arcs .none{stroke-width:1.5}
.arcs path{fill:none;stroke-width:2} .arcs path.fine{stroke-width:1.6}"""


def _colours(paper: str, ink: str, muted: str, line: str, band: str) -> str:
    return (
        f".arcs .paper{{fill:{paper}}} .arcs text{{fill:{muted}}} .arcs .band{{fill:{band}}}\n"
        f".arcs .title,.arcs .strong,.arcs .outside{{fill:{ink}}} .arcs .inside{{fill:{paper}}}\n"
        f".arcs .chain,.arcs .rule{{stroke:{line}}} .arcs .none{{fill:{paper};stroke:{muted}}}"
    )


def _kind(kind: str, colour: str) -> str:
    return f".arcs .{kind}{{stroke:{colour}}} .arcs circle.{kind}{{fill:{colour}}}"


def _half(dash: str) -> str:
    """Return the dash pattern at half its length, for short arcs."""
    return " ".join(f"{float(part) / 2:g}" for part in dash.split()) if dash != "none" else dash


def _arc(arc: Arc, grid: SvgGrid, y: float) -> str:
    left, right = grid.x(arc.source), grid.x(arc.target)
    path = f"M{left:.1f} {y:.1f}A{(right - left) / 2:.1f} {grid.height(arc.span):.1f} 0 0 1 {right:.1f} {y:.1f}"
    far = f", over {arc.span} blocks" if arc.span > 1 else ""
    says = f"block {arc.target}: {arc.kind} from node {arc.source}{far}; aligned: {arc.align}"
    fine = "" if grid.numbered else " fine"
    return f'<path class="{arc.kind}{fine}" d="{path}"><title>{escape(says)}</title></path>'


def _nodes(topology: Topology, drawn: tuple[Arc, ...], grid: SvgGrid, y: float) -> Iterator[str]:
    kinds = {arc.target: arc.kind for arc in drawn}
    says = [f"node 0, the stem: {topology.stem.op}", *(f"block {i}: {b.op}" for i, b in enumerate(topology.blocks, 1))]
    for node, shape in enumerate(topology.wiring.nodes):
        kind, x = kinds.get(node, "none"), grid.x(node)
        label = escape(f"{says[node]} → {shape}" + (f", {kind}" if node in kinds else ""))
        yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{grid.radius:.1f}"><title>{label}</title></circle>'
        if grid.numbered:
            inside = "inside" if node in kinds else "outside"
            yield f'<text class="middle {inside}" x="{x:.1f}" y="{y + 4:.1f}" pointer-events="none">{node}</text>'
        elif node % 5 == 0:
            yield f'<text class="middle" x="{x:.1f}" y="{y + grid.radius + 14:.1f}">{node}</text>'


def _bands(topology: Topology, grid: SvgGrid, y: float) -> tuple[list[str], float]:
    """Draw a rectangle under each run of equal resolution, taller for a larger one; return also the lowest y."""
    runs = [run for run in runs_by_size(topology) if run.label]
    scales = [math.log2(math.prod(topology.wiring.nodes[run.first].size)) for run in runs]
    parts, deepest = [], y
    for run, scale in zip(runs, scales, strict=True):
        spread = max(scales) - min(scales)
        depth = 38 + (34 * (scale - min(scales)) / spread if spread else 0)
        left, right = grid.x(run.first - 0.5) + 1.5, grid.x(run.last + 0.5) - 1.5
        channels = width_range(topology, run)
        says = escape(f"{run.label} with {channels} channels")
        parts.append(
            f'<rect class="band" x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{depth:.1f}" rx="4">'
            f"<title>{says}</title></rect>"
        )
        room, middle = right - left - 4, grid.x((run.first + run.last) / 2)
        for text, style, line in ((_size(run, room), "strong", 16), (_fitting((channels,), room), "", 31)):
            parts.append(f'<text class="middle {style}" x="{middle:.1f}" y="{y + line:.1f}">{text}</text>')
        deepest = max(deepest, y + depth)
    return parts, deepest


def _size(run: NodeRun, room: float) -> str:
    return _fitting((run.label, run.short), room)


def _fitting(labels: tuple[str, ...], room: float) -> str:
    """Return the first label that fits in `room` pixels, or "" if none does."""
    return next((label for label in labels if _extent(label) <= room), "")


def _extent(label: str, font: float = 11) -> float:
    """Return the approximate width of a label in pixels."""
    return LETTER * font * len(label)


def _names(topology: Topology, grid: SvgGrid, y: float) -> tuple[list[str], float]:
    """Write the op of every run of equal blocks; return also the lowest y.

    A label without enough room is turned by 90°. If one single block needs that, all single blocks are turned.
    """
    runs = runs_by_op(topology)
    fits = {run: _extent(run.label, 10) <= len(run) * grid.step - 4 for run in runs}
    level_single = all(fits[run] for run in runs if len(run) == 1)
    parts, depth = [], y + 6
    for run in runs:
        left, right = grid.x(run.first - 0.5) + 3, grid.x(run.last + 0.5) - 3
        middle = (left + right) / 2
        parts.append(f'<line class="rule" x1="{left:.1f}" y1="{y - 8:.1f}" x2="{right:.1f}" y2="{y - 8:.1f}"/>')
        if fits[run] and (level_single or len(run) > 1):
            parts.append(f'<text class="middle small" x="{middle:.1f}" y="{y + 6:.1f}">{escape(run.label)}</text>')
        else:
            turn = f'transform="translate({middle - 4:.1f} {y - 2:.1f}) rotate(90)"'
            parts.append(f'<text class="small" {turn}>{escape(run.label)}</text>')
            depth = max(depth, y - 6 + _extent(run.label, 10))
    return parts, depth


def _legend(drawn: tuple[Arc, ...], y: float) -> Iterator[str]:
    """Draw a stroke, a name and a count for each kind of skip that occurs."""
    total, far = Counter(arc.kind for arc in drawn), Counter(arc.kind for arc in drawn if arc.span > 1)
    x = MARGIN
    if not drawn:
        yield f'<text x="{x}" y="{y + 4:.1f}">no skips</text>'
    for kind in (kind for kind in JOINS if total[kind]):
        count = count_text(total[kind], far[kind])
        yield f'<path class="{kind}" d="M{x:.1f} {y:.1f}h26"/>'
        yield f'<text x="{x + 33:.1f}" y="{y + 4:.1f}"><tspan class="strong">{kind}</tspan> {count}</text>'
        x += 33 + _extent(f"{kind} {count}") + 22
