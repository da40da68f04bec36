"""Topology → the constructor calls that build it. No torch.

This is the one place that decides which class computes which part, and with which arguments: `network.build` makes
the calls, `export` prints them, `cost` prices each distinct one once. The rows of the vocabulary name the rules: the
tables TRANSFORMS, JOINS_CALLED, SCALES_CALLED and STEM_ARGUMENTS below hold them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from nas.network.plans import BlockPlan, Blueprint, BypassPlan, Call, JoinPlan, Kwargs
from nas.topology import Topology
from nas.topology.block import Block, Scale, Skip, options_of
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import Bypass, Wire
from nas.topology.vocabulary import HEADS, JOINS, OPS, SCALES, STEMS, Option


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
    norm = None
    if options_of(block).get("norm") == "peri":
        norm = Call("nn.LayerNorm", (wire.transformed.width,), (("eps", options_of(block)["eps"]),))
    residual = any(skip.residual for skip in block.skips)
    return BlockPlan(
        transform, norm, _scale(block.branch, wire.transformed), tuple(_joins(block, wire)), after, residual
    )


def _joins(block: Block, wire: Wire) -> Iterator[JoinPlan]:
    place = 0
    for skips in block.joins:
        bypasses = wire.bypasses[place : place + len(skips)]
        join = JoinRead(skips[0], len(skips), block, wire, bypasses[0].target)
        call = JOINS_CALLED[JOINS[join.skip.kind].arguments](join)
        given = _given(options_of(join.skip), JOINS[join.skip.kind].options)
        call = replace(call, kwargs=call.kwargs + given)
        yield JoinPlan(join.skip.kind, call, tuple(map(partial(_bypass, block), skips, bypasses)), place + 1)
        place += len(skips)


def _bypass(block: Block, skip: Skip, bypass: Bypass) -> BypassPlan:
    preactivated, align = OPS[block.op].preactivated, bypass.align
    stride = block.stride if align.resize == "stride" else 1
    aligned = bypass.shape if JOINS[skip.kind].widens else bypass.target
    return BypassPlan(
        bypass.source,
        bypass.short,
        Call("Resize") if align.resize == "resize" else None,
        _project(bypass.shape, bypass.target, align.project, stride, norm=not preactivated),
        _scale(skip.scale, aligned),
        shared=preactivated and bypass.short and align.project == "conv",
    )


# --------------------------------------------------------------------------------------- F: Op.arguments → its call


def _by_widths(block: Block, wire: Wire) -> Call:
    """Op(input width, width, stride=…, and the options that differ from their defaults)."""
    op, options = OPS[block.op], options_of(block)
    kwargs: Kwargs = (("stride", block.stride),) if block.stride != 1 else ()
    if options.pop("norm", "pre") in ("post", "none"):  # F has no norm: it follows the joins, or there is none
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


TRANSFORMS: dict[str, Callable[[Block, Wire], Call]] = {
    "widths": _by_widths,
    "window": _as_window,
    "projection": _as_projection,
}


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


@dataclass(frozen=True, slots=True)
class JoinRead:
    """The skip, the block and the shapes that the call of a join depends on.

    skip     the skip, the first one of several
    sources  how many bypasses it joins
    block    the block, whose input a gate reads as well
    wire     the shapes around the block
    target   the shape of what the bypasses are joined to
    """

    skip: Skip
    sources: int
    block: Block
    wire: Wire
    target: Shape

    @property
    def module(self) -> str:
        """The class that joins features of this layout."""
        join = JOINS[self.skip.kind]
        flat = self.target.layout != "image"
        return join.flat_module if flat and join.flat_module is not None else join.module


def _join(join: JoinRead) -> Call:
    """Join()."""
    return Call(join.module)


def _join_along_dim(join: JoinRead) -> Call:
    """Join(dim=…)."""
    return Call(join.module, kwargs=_dim(join.target))


def _mix(join: JoinRead) -> Call:
    """Join(sources)."""
    return Call(join.module, (join.sources,))


def _attend(join: JoinRead) -> Call:
    """Join(width, dim=…)."""
    return Call(join.module, (join.target.width,), _dim(join.target))


def _gate(join: JoinRead) -> Call:
    """Join(input width, width), of images with the kernel and the stride through which F sees its input."""
    block, wire, target, name = join.block, join.wire, join.target, join.module
    if target.layout != "image":
        return Call(name, (wire.input.width, target.width))
    kernel = int(options_of(block)["kernel"]) if OPS[block.op].gate_kernel else 1
    kwargs: Kwargs = (("kernel", kernel),) if kernel != 1 else ()
    strided = tuple((n - 1) // block.stride + 1 for n in wire.input.size) == target.size
    if block.stride != 1 and strided:
        kwargs += (("stride", block.stride),)
    return Call(name, (wire.input.width, target.width), kwargs)


JOINS_CALLED: dict[str, Callable[[JoinRead], Call]] = {
    "none": _join,
    "dim": _join_along_dim,
    "mix": _mix,
    "attend": _attend,
    "gate": _gate,
}


def _dim(shape: Shape) -> Kwargs:
    """The dimension of the channels as an argument; 1, that of images, is the default."""
    return (("dim", -1),) if shape.layout != "image" else ()


# ----------------------------------------------------------------------------- a factor: ScaleRule.arguments → its call


def _scale(scale: Scale | None, shape: Shape) -> Call | None:
    """Return the call of the factor on features of this shape; None without one."""
    if scale is None:
        return None
    rule = SCALES[scale.kind]
    return SCALES_CALLED[rule.arguments](rule.module, options_of(scale), shape)


SCALES_CALLED: dict[str, Callable[[str, dict[str, Scalar], Shape], Call]] = {
    "none": lambda module, options, shape: Call(module),
    "start": lambda module, options, shape: Call(module, kwargs=(("start", options["start"]),)),
    "channels": lambda module, options, shape: Call(
        module, (shape.width,), (("start", options["start"]), *_dim(shape))
    ),
    "constant": lambda module, options, shape: Call(module, kwargs=(("value", options["value"]),)),
}


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
    "patchified": _reads_channels,
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
