"""Topology → the constructor calls that build it. No torch.

This is the one place that decides which class computes which part, and with which arguments: `network.build` makes
the calls, `export` prints them, `cost` prices each distinct one once. The rows of the vocabulary name the rules: the
tables TRANSFORMS, STEM_ARGUMENTS and JOINS_CALLED below hold them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from nas.topology import Topology
from nas.topology.block import Block, Skip, options_of
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import Wire
from nas.topology.vocabulary import HEADS, JOINS, OPS, STEMS, Join, Option

Kwargs = tuple[tuple[str, Scalar | tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One constructor call, `Basic(64, 128, stride=2)`. A name with a dot is torch's own class (`nn.ReLU`)."""

    name: str
    args: tuple[int, ...] = ()
    kwargs: Kwargs = ()

    def __str__(self) -> str:
        words = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs)]
        return f"{self.name}({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The calls of one block, y = after(join(F(x), project(resize(s)))).

    kind    the kind of its skip; None without one
    source  the node that s comes from; None without a skip
    short   whether s is the block's own input
    shared  whether F and the projection read the same activated input (pre-activation units)
    """

    transform: Call
    kind: str | None = None
    source: int | None = None
    short: bool = False
    resize: Call | None = None
    project: Call | None = None
    join: Call | None = None
    after: Call | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The constructor calls of a whole network."""

    stem: Call
    blocks: tuple[BlockPlan, ...]
    head: Call

    @property
    def last_use(self) -> dict[int, int]:
        """Node → the last block that takes it as the source of a long skip; the node must be kept until then."""
        uses = ((plan.source, number) for number, plan in enumerate(self.blocks, 1) if not plan.short)
        return {source: number for source, number in uses if source is not None}


def blueprint(topology: Topology) -> Blueprint:
    """Return the constructor calls of `topology`."""
    wiring = topology.wiring
    blocks = tuple(map(_block, topology.settled, wiring.wires))
    return Blueprint(_stem(topology), blocks, _head(topology))


def _block(block: Block, wire: Wire) -> BlockPlan:
    op = OPS[block.op]
    transform = TRANSFORMS[op.arguments](block, wire)
    follows = op.follows(options_of(block))
    after = None
    if follows == "relu":
        after = Call("nn.ReLU", kwargs=(("inplace", True),))
    elif follows == "norm":
        after = Call("nn.LayerNorm", (wire.output.width,), (("eps", options_of(block)["eps"]),))
    if block.skip is None or wire.align is None or wire.bypass is None:
        return BlockPlan(transform, after=after)
    stride = block.stride if wire.align.resize == "stride" else 1
    project = _project(wire.bypass, wire.transformed, wire.align.project, stride, norm=not op.preactivated)
    return BlockPlan(
        transform,
        block.skip.kind,
        wire.source,
        wire.short,
        Call("Resize") if wire.align.resize == "resize" else None,
        project,
        _joined(block.skip, JOINS_CALLED[JOINS[block.skip.kind].arguments](block, wire)),
        after,
        shared=op.preactivated and wire.short and wire.align.project == "conv",
    )


# --------------------------------------------------------------------------------------- F: Op.arguments → its call


def _by_widths(block: Block, wire: Wire) -> Call:
    """Op(input width, width, stride=…, and the options that differ from their defaults)."""
    op, options = OPS[block.op], options_of(block)
    kwargs: Kwargs = (("stride", block.stride),) if block.stride != 1 else ()
    if options.pop("norm", "pre") == "post":  # the norm follows the join, with its eps
        del options["eps"]
        kwargs += (("norm", False),)
    return Call(op.module, (wire.input.width, wire.transformed.width), kwargs + _given(options, op.options))


def _as_window(block: Block, wire: Wire) -> Call:
    """Op(kernel, stride=…, padding=…): a pooling window, whose width is that of its input."""
    kernel = int(options_of(block)["kernel"])
    return Call(OPS[block.op].module, (kernel,), (("stride", block.stride), ("padding", (kernel - 1) // 2)))


def _as_projection(block: Block, wire: Wire) -> Call:
    """Op(), or the projection that gives x the shape of F(x) where they differ."""
    changes = "conv" if wire.input != wire.transformed else None
    return _project(wire.input, wire.transformed, changes, block.stride) or Call(OPS[block.op].module)


Rule = Callable[[Block, Wire], Call]
TRANSFORMS: dict[str, Rule] = {"widths": _by_widths, "window": _as_window, "projection": _as_projection}


def _given(options: Mapping[str, Scalar], known: Mapping[str, Option]) -> Kwargs:
    """The options that differ from their defaults: those that a person would write."""
    return tuple((key, value) for key, value in options.items() if value != known[key].default)


def _project(source: Shape, target: Shape, how: str | None, stride: int, norm: bool = True) -> Call | None:
    strided = (("stride", stride),) if stride != 1 else ()
    if how is None:
        return None
    if target.layout != "image":
        if how == "pad":
            return Call("PadLast", (target.width - source.width,))
        return Call("nn.Linear", (source.width, target.width))
    if how == "pad":
        return Call("ZeroPad", (target.width - source.width,), strided)
    return Call("Project", (source.width, target.width), strided + (() if norm else (("norm", False),)))


# ------------------------------------------------------------------------------------ a join: Join.arguments → its call


def _join(block: Block, wire: Wire) -> Call:
    """Join()."""
    return Call(_module(_row(block), wire))


def _join_along_dim(block: Block, wire: Wire) -> Call:
    """Join(dim=…), the dimension of the channels; 1, that of images, is the default."""
    return Call(_module(_row(block), wire), kwargs=(("dim", -1),) if wire.transformed.layout != "image" else ())


def _gate(block: Block, wire: Wire) -> Call:
    """Join(input width, width), of images with the kernel and the stride through which F sees its input."""
    target, name = wire.transformed, _module(_row(block), wire)
    if target.layout != "image":
        return Call(name, (wire.input.width, target.width))
    kernel = int(options_of(block)["kernel"]) if OPS[block.op].gate_kernel else 1
    kwargs: Kwargs = (("kernel", kernel),) if kernel != 1 else ()
    strided = tuple((n - 1) // block.stride + 1 for n in wire.input.size) == target.size
    if block.stride != 1 and strided:
        kwargs += (("stride", block.stride),)
    return Call(name, (wire.input.width, target.width), kwargs)


JOINS_CALLED: dict[str, Rule] = {"none": _join, "dim": _join_along_dim, "gate": _gate}


def _joined(skip: Skip, call: Call) -> Call:
    """The call with the options of the skip that differ from their defaults."""
    return replace(call, kwargs=call.kwargs + _given(options_of(skip), JOINS[skip.kind].options))


def _row(block: Block) -> Join:
    assert block.skip is not None
    return JOINS[block.skip.kind]


def _module(join: Join, wire: Wire) -> str:
    flat = wire.transformed.layout != "image"
    return join.flat_module if flat and join.flat_module is not None else join.module


# ------------------------------------------------------------------------------------------------------ stem and head


def _reads_channels(topology: Topology, options: dict[str, Scalar]) -> tuple[int, ...]:
    """(input width, width)."""
    return topology.input[0], topology.wiring.stem.width


def _reads_numbers(topology: Topology, options: dict[str, Scalar]) -> tuple[int, ...]:
    """(numbers of a sample, width)."""
    return math.prod(topology.input), topology.wiring.stem.width


def _reads_tokens(topology: Topology, options: dict[str, Scalar]) -> tuple[int, ...]:
    """(vocabulary, width, context)."""
    return int(options.pop("vocabulary")), topology.wiring.stem.width, topology.input[0]


def _reads_patches(topology: Topology, options: dict[str, Scalar]) -> tuple[int, ...]:
    """(input width, width, patch, tokens)."""
    first = topology.wiring.stem
    return topology.input[0], first.width, int(options.pop("patch")), first.size[0]


STEM_ARGUMENTS: dict[str, Callable[[Topology, dict[str, Scalar]], tuple[int, ...]]] = {  # by StemOp.shape_rule
    "convolved": _reads_channels,
    "pooled": _reads_channels,
    "flat": _reads_numbers,
    "tokens": _reads_tokens,
    "patches": _reads_patches,
}


def _stem(topology: Topology) -> Call:
    """Stem(…), without positional arguments where the stem has no width of its own."""
    op, options = STEMS[topology.stem.op], options_of(topology.stem)
    args = () if op.fixed_width else STEM_ARGUMENTS[op.shape_rule](topology, options)
    return Call(op.module, args, _given(options, op.options))


def _head(topology: Topology) -> Call:
    """Head(width, outputs, …); a tied head also takes the width of the embedding, one of pixels the input's size."""
    last, op = topology.wiring.output, HEADS[topology.head.op]
    args: tuple[int, ...] = (last.width, topology.outputs)
    if op.tied:
        args = (*args, topology.wiring.stem.width)
    kwargs = _given(options_of(topology.head), op.options)
    if op.output == "pixel" and last.size != topology.input[1:]:
        kwargs += (("size", topology.input[1:]),)
    return Call(op.modules[last.layout], args, kwargs)
