"""Topology → the constructor calls that build it. No torch.

One place decides which class computes which part and with which arguments: `network.build` makes the calls,
`export` prints them, `cost` prices each distinct one once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nas.topology import Topology
from nas.topology.block import Block, options_of
from nas.topology.shapes import Wire
from nas.topology.vocabulary import HEADS, OPS, STEMS, Option, Scalar, Shape

Kwargs = tuple[tuple[str, Scalar | tuple[int, ...]], ...]

JOIN_MODULES = {"add": "Add", "concat": "Concat", "gate": "Gate", "mul": "Mul"}


@dataclass(frozen=True, slots=True)
class Call:
    """One constructor call, `Basic(64, 128, stride=2)`; a name with a dot is torch's own (`nn.ReLU`)."""

    name: str
    args: tuple[int, ...] = ()
    kwargs: Kwargs = ()

    def __str__(self) -> str:
        words = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs)]
        return f"{self.name}({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """y = after(join(F(x), project(resize(s)))).

    source is the node that s comes from (None without a skip), short whether that is the block's own input;
    shared says that F and the projection read the same activated input (pre-activation units).
    """

    transform: Call
    source: int | None = None
    short: bool = False
    resize: Call | None = None
    project: Call | None = None
    join: Call | None = None
    after: Call | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A whole network as constructor calls."""

    stem: Call
    blocks: tuple[BlockPlan, ...]
    head: Call

    @property
    def last_use(self) -> dict[int, int]:
        """node → the last block that takes it as the source of a long skip: until then it must be kept."""
        uses = ((plan.source, number) for number, plan in enumerate(self.blocks, 1) if not plan.short)
        return {source: number for source, number in uses if source is not None}


def blueprint(topology: Topology) -> Blueprint:
    """The constructor calls of `topology`."""
    wiring = topology.wiring
    blocks = tuple(map(_block, topology.blocks, wiring.wires))
    return Blueprint(_stem(topology), blocks, _head(topology))


def _block(block: Block, wire: Wire) -> BlockPlan:
    op = OPS[block.op]
    transform = _transform(block, wire)
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
        wire.source,
        wire.short,
        Call("Resize") if wire.align.resize == "resize" else None,
        project,
        _join(block, wire),
        after,
        shared=op.preactivated and wire.short and wire.align.project == "conv",
    )


def _transform(block: Block, wire: Wire) -> Call:
    op, options = OPS[block.op], options_of(block)
    if block.op == "identity":
        return _project(wire.input, wire.transformed, _change(wire), block.stride) or Call("nn.Identity")
    if block.op == "maxpool":
        kernel = int(options["kernel"])
        return Call("nn.MaxPool2d", (kernel,), (("stride", block.stride), ("padding", (kernel - 1) // 2)))
    kwargs: Kwargs = (("stride", block.stride),) if block.stride != 1 else ()
    if options.pop("norm", "pre") == "post":  # the norm follows the join, with its eps
        del options["eps"]
        kwargs += (("norm", False),)
    return Call(op.module, (wire.input.width, wire.transformed.width), kwargs + _given(options, op.options))


def _change(wire: Wire) -> str | None:
    """What makes F(x)'s shape of x's."""
    return None if wire.input == wire.transformed else "conv"


def _given(options: Mapping[str, Scalar], known: Mapping[str, Option]) -> Kwargs:
    """The options that differ from their defaults: what a person would write."""
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


def _join(block: Block, wire: Wire) -> Call:
    assert block.skip is not None
    kind, target = block.skip.kind, wire.transformed
    if kind == "concat":
        return Call("Concat", kwargs=(("dim", -1),) if target.layout != "image" else ())
    if kind != "gate":
        return Call(JOIN_MODULES[kind])
    if target.layout != "image":
        return Call("LinearGate", (wire.input.width, target.width))
    kernel = int(options_of(block)["kernel"]) if OPS[block.op].gate_kernel else 1
    kwargs: Kwargs = (("kernel", kernel),) if kernel != 1 else ()
    strided = tuple((n - 1) // block.stride + 1 for n in wire.input.size) == target.size
    if block.stride != 1 and strided:
        kwargs += (("stride", block.stride),)
    return Call("Gate", (wire.input.width, target.width), kwargs)


def _stem(topology: Topology) -> Call:
    stem, shape = topology.stem, topology.wiring.stem
    op, options = STEMS[stem.op], options_of(stem)
    args: tuple[int, ...] = () if op.fixed_width else (topology.input[0], shape.width)
    if stem.op == "linear":
        args = (math.prod(topology.input), shape.width)
    elif stem.op == "token":
        args = (int(options.pop("vocabulary")), shape.width, topology.input[0])
    elif stem.op == "patch":
        args = (topology.input[0], shape.width, int(options.pop("patch")), shape.size[0])
    return Call(op.module, args, _given(options, op.options))


def _head(topology: Topology) -> Call:
    head, last = topology.head, topology.wiring.output
    op, options = HEADS[head.op], options_of(head)
    args: tuple[int, ...] = (last.width, topology.outputs)
    kwargs = _given(options, op.options)
    if head.op == "language_model":
        args = (*args, topology.wiring.stem.width)
    elif head.op == "classify" and last.layout != "image":
        return Call("nn.Linear", args) if last.layout == "vector" else Call("ClassifySequence", args)
    elif head.op == "conv1x1" and last.size != topology.input[1:]:
        kwargs += (("size", topology.input[1:]),)
    return Call(op.module, args, kwargs)
