"""Make the table of a topology that `nas show` prints: one row per part, with its parameters and FLOPs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.topology import Topology
from nas.topology.block import Block, Head, Scale, Skip, Stem, options_of
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import Align, Bypass, Wire
from nas.topology.vocabulary import HEADS, JOINS, OPS, SCALES, STEMS

Costs = Sequence[tuple[int, int]]  # parameters and FLOPs of the stem, of every block, of the head


def topology_table(topology: Topology, costs: Costs | None = None, *, width: int = 100) -> Table:
    """Return a table with one row per part: number, op, in → out, skip, alignment, parameters and FLOPs.

    costs: (parameters, FLOPs) of the stem, of every block and of the head; without them the last two columns are left
    out. The last row is their sum. A line separates different resolutions; options that all blocks of an op share are
    written once, below the table. Shapes are written in short form if `width` is below 100 columns.

    Raises ValueError if there are not len(topology) + 2 costs.
    """
    if costs is not None and len(costs) != len(topology) + 2:
        raise ValueError(f"{len(topology) + 2} costs must be given, one per part, but got {len(costs)}")
    shared = _shared_options(topology)
    table = _empty(costs is not None)
    table.caption = _caption(shared)
    nodes = topology.wiring.nodes
    priced = _priced(costs) if costs is not None else [[]] * (len(nodes) + 1)
    brief = width < 100
    table.add_row("0", _op(topology.stem), _shapes(None, nodes[0], brief), "", "", *priced[0])
    for number, (block, wire) in enumerate(zip(topology.settled, topology.wiring.wires, strict=True), 1):
        if wire.output.size != nodes[number - 1].size:
            table.add_section()
        first, *others = _skips(block, wire)
        row = _op(block, shared.get(block.op, {})), _shapes(wire.input, wire.output, brief)
        table.add_row(str(number), *row, *first, *priced[number])
        for further in others:
            table.add_row("", "", "", *further)
    table.add_section()
    head = Text(str(topology.outputs), "default")
    table.add_row("", _op(topology.head), _shapes(nodes[-1], None, brief).append_text(head), "", "", *priced[-1])
    if costs is not None:
        table.add_section()
        totals = [(sum(params for params, _ in costs), sum(flops for _, flops in costs))]
        table.add_row("", f"{len(topology)} blocks", "", "", "", *_priced(totals)[0], style="bold")
    return table


def _priced(costs: Costs) -> list[list[str]]:
    return [[units.count(params), units.count(flops)] for params, flops in costs]


def _empty(priced: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("block", overflow="fold")
    table.add_column("in → out", no_wrap=True)
    table.add_column("skip", no_wrap=True)
    table.add_column("aligned by", overflow="fold")
    for name in ("params", "FLOPs") if priced else ():
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _shared_options(topology: Topology) -> dict[str, dict[str, Scalar]]:
    """Return, for each op with several blocks, the options other than the defaults that all of these blocks share."""
    blocks = sorted(topology.blocks, key=lambda block: block.op)
    shared = {}
    for op, group in itertools.groupby(blocks, key=lambda block: block.op):
        each = [_unusual(block) for block in group]
        if len(each) > 1:
            same = {name: value for name, value in each[0].items() if all(o.get(name) == value for o in each)}
            shared[op] = same
    return shared


def _unusual(part: Stem | Block | Head) -> dict[str, Scalar]:
    """Return the options of a part that differ from the defaults of its op."""
    known = (STEMS if isinstance(part, Stem) else HEADS if isinstance(part, Head) else OPS)[part.op].options
    return {name: value for name, value in options_of(part).items() if value != known[name].default}


def _caption(shared: dict[str, dict[str, Scalar]]) -> Text | None:
    lines = [f"every {op}: " + _written(options) for op, options in shared.items() if options]
    return Text("\n".join(lines), "dim", justify="left") if lines else None


def _written(options: Mapping[str, Scalar]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


def _op(part: Stem | Block | Head, said: Mapping[str, Scalar] = MappingProxyType({})) -> Text:
    """Return `basic/2 32 kernel=5`: op, stride, width, and the options that are neither defaults nor in `said`."""
    text = Text(part.op)
    if isinstance(part, Block) and part.stride != 1:
        text.append(f"/{part.stride}")
    if not isinstance(part, Head) and part.width is not None:
        text.append(f" {part.width}")
    own = {name: value for name, value in _unusual(part).items() if name not in said}
    return text.append(" " + _written(own), "dim") if own else text


def _shapes(before: Shape | None, after: Shape | None, brief: bool) -> Text:
    text = Text()
    if before is not None:
        text.append(_shape(before, brief) + " → ", "dim")
    return text.append(_shape(after, brief) if after is not None else "")


def _shape(shape: Shape, brief: bool) -> str:
    """Return the shape as `64×56×56`, in short form `64×56²`."""
    if brief and shape.layout == "image" and shape.size[0] == shape.size[1]:
        return f"{shape.width}×{shape.size[0]}²"
    return str(shape)


def _skips(block: Block, wire: Wire) -> list[tuple[Text, Text]]:
    """Return each skip of a block and what aligns it, and before them the factor on F(x) if there is one."""
    rows = [
        (_one_skip(skip, bypass), _align(bypass.align)) for skip, bypass in zip(block.skips, wire.bypasses, strict=True)
    ]
    if block.branch is not None:
        rows.insert(0, (Text(f"{_scale(block.branch)} · F(x)", "dim"), Text("")))
    return rows or [(Text("·", "dim"), Text(""))]


def _one_skip(skip: Skip, bypass: Bypass) -> Text:
    row = JOINS[skip.kind]
    own = {name: value for name, value in options_of(skip).items() if value != row.options[name].default}
    text = Text(skip.kind, row.terminal).append("" if bypass.short else f" ← {bypass.source}")
    if skip.scale is not None:
        text.append(f" {_scale(skip.scale)}", "dim")
    return text.append(" " + _written(own), "dim") if own else text


def _scale(scale: Scale) -> str:
    known = SCALES[scale.kind].options
    own = {name: value for name, value in options_of(scale).items() if value != known[name].default}
    return " ".join(filter(None, [scale.kind, _written(own)]))


def _align(align: Align) -> Text:
    plain = align.resize is None and align.project is None
    return Text(str(align), "dim" if plain else "")
