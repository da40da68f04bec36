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

from nas.topology import Topology
from nas.topology.block import Block, Scale, Skip, options_of
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import Bypass, Wire
from nas.topology.vocabulary import HEADS, JOINS, OPS, SCALES, STEMS, Option

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
class BypassPlan:
    """The calls that turn a source into s = scale(project(resize(source))).

    source  the node at which the bypass starts
    short   whether that is the block's own input
    shared  whether F and the projection read the same activated input (pre-activation units)
    """

    source: int
    short: bool = False
    resize: Call | None = None
    project: Call | None = None
    scale: Call | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The call of one join, f = join(f, s₁, …), and the bypasses that it reads: several for a kind that mixes them."""

    kind: str
    call: Call
    bypasses: tuple[BypassPlan, ...]


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The calls of one block, y = after(join(… join(scale(norm(F(x))), s₁) …, sₙ)).

    norm      the norm of F(x) before the first join: of peri-norm Transformers (Kim et al. 2025, arXiv:2502.02732)
    scale     the factor on F(x)
    residual  whether F is a residual branch, which stochastic depth may leave out
    """

    transform: Call
    norm: Call | None = None
    scale: Call | None = None
    joins: tuple[JoinPlan, ...] = ()
    after: Call | None = None
    residual: bool = False

    @property
    def bypasses(self) -> tuple[BypassPlan, ...]:
        """All bypasses, in the order of their skips."""
        return tuple(bypass for join in self.joins for bypass in join.bypasses)

    @property
    def shared(self) -> bool:
        """Whether F and a projection read the same activated input."""
        return any(bypass.shared for bypass in self.bypasses)

    @property
    def calls(self) -> dict[str, Call]:
        """The calls of all modules, by their names in a built block.

        Those of the first skip are `resize`, `project`, `scale` and `join`, those of the second `resize2` and so on.
        """
        calls = {"transform": self.transform, "norm": self.norm, "branch": self.scale}
        number = 1
        for join in self.joins:
            first = number
            for bypass in join.bypasses:
                own = {"resize": bypass.resize, "project": bypass.project, "scale": bypass.scale}
                calls |= {numbered(name, number): call for name, call in own.items()}
                number += 1
            calls[numbered("join", first)] = join.call
        calls["after"] = self.after
        return {name: call for name, call in calls.items() if call is not None}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The constructor calls of a whole network."""

    stem: Call
    blocks: tuple[BlockPlan, ...]
    head: Call

    @property
    def last_use(self) -> dict[int, int]:
        """Node → the last block that takes it as the source of a long skip; the node must be kept until then."""
        plans = enumerate(self.blocks, 1)
        return {bypass.source: number for number, plan in plans for bypass in plan.bypasses if not bypass.short}


def numbered(name: str, number: int) -> str:
    """Return the name of a module of the skip with this number around a block: `project`, `project2`."""
    return name if number == 1 else f"{name}{number}"


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
        yield JoinPlan(join.skip.kind, call, tuple(map(partial(_bypass, block), skips, bypasses)))
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
    if options.pop("norm", "pre") in (
        "post",
        "none",
    ):  # F has no norm: it follows the joins, or is none
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
    """What a join reads.

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
