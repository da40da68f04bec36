"""Shape inference: one pass over a chain of blocks finds every shape, and how every skip is aligned. No torch.

The network builder, the cost model and the exporter all read the result; nothing else decides a shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.errors import TopologyError
from nas.topology.block import Block, Head, Skip, Stem, options_of
from nas.topology.geometry import MAX_SIZE, MAX_WIDTH, Shape
from nas.topology.vocabulary import HEADS, JOINS, OPS, STEMS


@dataclass(frozen=True, slots=True)
class Align:
    """The alignment of a bypass before the join.

    resize   None; "stride" (the projection or padding strides); "resize" (averaged where it shrinks, nearest
             neighbours where it grows, to the exact size of F(x))
    project  None; "conv" (1×1 convolution or linear map); "pad" (zeros for the missing channels)
    """

    resize: str | None = None
    project: str | None = None

    def __str__(self) -> str:
        return " + ".join(step for step in (self.resize, self.project) if step) or "as it is"


@dataclass(frozen=True, slots=True)
class Bypass:
    """The way of one skip: from where it starts to the join.

    source  the node at which it starts
    shape   the shape of s before its alignment
    align   the alignment of s
    target  the shape of what it is joined to
    short   whether s is the block's own input
    """

    source: int
    shape: Shape
    align: Align
    target: Shape
    short: bool


@dataclass(frozen=True, slots=True)
class Wire:
    """The shapes around one block, and the ways of its skips.

    input        the shape of x
    transformed  the shape of F(x)
    output       the shape of y, after all joins
    bypasses     the way of each skip, in their order
    vanishes     whether the block computes y = x
    """

    input: Shape
    transformed: Shape
    output: Shape
    bypasses: tuple[Bypass, ...] = ()
    vanishes: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """The shapes of a whole chain: those of the stem's output, and one Wire for each block."""

    stem: Shape
    wires: tuple[Wire, ...]

    @property
    def nodes(self) -> tuple[Shape, ...]:
        """The shapes of y[0], y[1], …: the stem's output and the output of every block."""
        return (self.stem, *(wire.output for wire in self.wires))

    @property
    def output(self) -> Shape:
        """The shape of the last features, which the head reads."""
        return self.nodes[-1]


def infer(input: tuple[int, ...], stem: Stem, blocks: Sequence[Block], head: Head, outputs: int) -> Wiring:
    """Return every shape of the chain. Raises TopologyError, naming the part that cannot be built."""
    try:
        first = STEMS[stem.op].shape(input, stem.width, options_of(stem))
        _possible(first)
    except TopologyError as error:
        raise TopologyError(f"stem ({stem.op}): {error}") from None
    nodes, same, wires = [first], [0], []  # same[i]: the first node that holds the very tensor y[i]
    for number, block in enumerate(blocks, 1):
        try:
            wire = _wire(number, block, nodes, same)
        except TopologyError as error:
            raise TopologyError(f"block {number} ({block.op}): {error}") from None
        wires.append(wire)
        nodes.append(wire.output)
        same.append(same[-1] if wire.vanishes else number)
    _check_head(stem, head, first, nodes[-1], outputs)
    return Wiring(first, tuple(wires))


def _wire(number: int, block: Block, nodes: Sequence[Shape], same: Sequence[int]) -> Wire:
    before = nodes[-1]
    after = transformed(block, before)
    if not block.skips:
        plain = OPS[block.op].is_identity and block.branch is None
        return Wire(before, after, after, vanishes=plain and after == before)
    joined, bypasses = after, []
    for skip in block.skips:
        source = number - 1 if skip.source is None else skip.source
        if source >= number:
            raise TopologyError(f"a skip must start before its block, but got source={source}")
        short = same[source] == same[number - 1]
        shape = before if short else nodes[source]
        if len(shape.size) != len(joined.size):
            raise TopologyError(f"a skip cannot join {shape.layout} features to {joined.layout} features")
        align = _align(skip, block.stride if short else 1, shape, joined)
        bypasses.append(Bypass(number - 1 if short else source, shape, align, joined, short))
        if JOINS[skip.kind].widens:
            joined = Shape(shape.width + joined.width, joined.size)
            _possible(joined)
    return Wire(before, after, joined, tuple(bypasses))


def transformed(block: Block, before: Shape) -> Shape:
    """Return the shape of F(x) for x of shape `before`. Raises TopologyError where F cannot read it."""
    op = OPS[block.op]
    if before.layout not in op.layouts:
        raise TopologyError(f"it reads {' or '.join(op.layouts)} features, but gets {before.layout} {before}")
    if block.stride != 1 and before.layout != "image":
        raise TopologyError(f"only images have a stride: stride == 1 must hold, but got {block.stride}")
    width = before.width if block.width is None else block.width
    if op.keeps_width and width != before.width:
        raise TopologyError(f"it keeps its input's width {before.width}, but got width={width}")
    after = Shape(width, op.size(before.size, block.stride, options_of(block)))
    _possible(after)
    parts = {name: int(value) for name, value in options_of(block).items() if op.options[name].divides_width}
    if width % math.prod(parts.values()):
        got = ", ".join(f"{name}={value}" for name, value in parts.items())
        raise TopologyError(f"{' · '.join(parts)} must divide the width {width}, but got {got}")
    return after


def _align(skip: Skip, stride: int, bypass: Shape, target: Shape) -> Align:
    """Return the alignment after which `bypass` can be joined to F(x) of shape `target`."""
    project, widens = None, JOINS[skip.kind].widens
    if not widens and bypass.width != target.width:
        project = "pad" if skip.shortcut == "pad" and bypass.width < target.width else "conv"
    if bypass.size == target.size:
        return Align(None, project)
    strided = tuple((n - 1) // stride + 1 for n in bypass.size)
    if not widens and strided == target.size:
        # a strided shortcut without a change of width still needs something that strides
        return Align("stride", project or ("pad" if skip.shortcut == "pad" else "conv"))
    return Align("resize", project)


def _possible(shape: Shape) -> None:
    if not 1 <= shape.width <= MAX_WIDTH:
        raise TopologyError(f"1 <= width <= {MAX_WIDTH} must hold, but its features have width {shape.width}")
    for n in shape.size:
        if not 1 <= n <= MAX_SIZE:
            raise TopologyError(f"1 <= size <= {MAX_SIZE} must hold, but its features have size {shape.size}")


def _check_head(stem: Stem, head: Head, first: Shape, last: Shape, outputs: int) -> None:
    op = HEADS[head.op]
    if last.layout not in op.layouts:
        reads = " or ".join(op.layouts)
        raise TopologyError(f"head ({head.op}): it reads {reads} features, but gets {last.layout} {last}")
    options = options_of(stem)
    if op.requires is not None and not options.get(op.requires):
        wanted = op.requires.replace("_", " ")
        raise TopologyError(f"head ({head.op}): the stem gives no {wanted}, it is {stem.op!r}")
    if op.tied and options.get("vocabulary") != outputs:
        raise TopologyError(
            f"head ({head.op}): outputs must equal the stem's vocabulary, "
            f"but got {outputs} and {options.get('vocabulary')}"
        )
