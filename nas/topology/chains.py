"""The chains of blocks that several published networks share: stages of residual blocks, and dense blocks. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from nas.errors import TopologyError
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.topology import Topology

Image = tuple[int, int, int]
IMAGENET: Image = (3, 224, 224)
CIFAR: Image = (3, 32, 32)
ADD, CONCAT, GATE = Skip("add"), Skip("concat"), Skip("gate", options={"bias": "auto"})

# depth → op and blocks of the four stages: table 1 of He et al. 2015
RESNETS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


def classifier(input: tuple[int, ...], stem: Stem, blocks: Iterable[Block], head: str, outputs: int) -> Topology:
    """Return the network stem → blocks → head, whose head has no options."""
    return Topology(input, stem, tuple(blocks), Head(head), outputs)


def check_count(what: str, value: object, low: int, high: int) -> None:
    """Raise TopologyError unless value is a whole number with low <= value <= high."""
    if type(value) is not int or not low <= value <= high:
        raise TopologyError(f"{low} <= {what} <= {high} must hold for a whole number, but got {value!r}"[:200])


def blocks_a_stage(name: str, depth: int, a: int, b: int, besides: Iterable[int] = ()) -> int:
    """Return n of depth = a·n + b, the number of blocks of each of three stages. Raises TopologyError."""
    if type(depth) is int and depth <= 4000 and depth > b and (depth - b) % a == 0:
        return (depth - b) // a
    some = sorted({a * n + b for n in (1, 3, 5, 9, 18)} | set(besides))
    raise TopologyError(f"depth of {name} must be {a}n+{b} or published: {', '.join(map(str, some))}, …; got {depth!r}")


def imagenet_resnet(
    name: str, depth: int, widen: int, skip: Skip | None, input: Image | None, outputs: int | None
) -> Topology:
    """Return a ResNet for ImageNet of a depth of RESNETS, with the same skip around every block."""
    op, stages = RESNETS[depth]
    expansion = 4 if op == "bottleneck" else 1
    options = {} if op == "basic" else {"expansion": expansion // widen}
    blocks = []
    for stage, repeats in enumerate(stages):
        for place in range(repeats):
            stride = 2 if stage and not place else 1
            blocks.append(Block(op, (64 << stage) * expansion, stride, skip, options))
    return classifier(input or IMAGENET, Stem("conv7x7_pool", 64), blocks, "classify", outputs or 1000)


def stages_of(op: str, repeats: int, widths: Iterable[int], skip: Skip | None) -> Iterable[Block]:
    """Yield the blocks of stages of `repeats` blocks; all stages but the first begin with stride 2."""
    for stage, width in enumerate(widths):
        yield Block(op, width, 2 if stage else 1, skip)
        yield from (Block(op, width, skips=skip) for _ in range(repeats - 1))


def cifar_resnet(op: str, repeats: int, skip: Skip | None, input: Image | None, outputs: int | None) -> Topology:
    """Return a ResNet for CIFAR: three stages of `repeats` blocks, 16, 32 and 64 wide."""
    blocks = stages_of(op, repeats, (16, 32, 64), skip)
    return classifier(input or CIFAR, Stem("conv3x3", 16), blocks, "classify", outputs or 10)


def cifar_preact_resnet(
    op: str, repeats: int, widths: Iterable[int], input: Image | None, outputs: int | None
) -> Topology:
    """Return a pre-activation ResNet for CIFAR: three stages of `repeats` blocks of these widths."""
    stem = Stem("conv3x3", 16, {"norm": False})
    return classifier(input or CIFAR, stem, stages_of(op, repeats, widths, ADD), "norm_classify", outputs or 10)


def dense_blocks(op: str, stages: Iterable[int], growth: int, width: int, keep: float) -> list[Block]:
    """Return dense blocks of layers that are `growth` wide; transitions keep the share `keep` of the width."""
    blocks: list[Block] = []
    for layers in stages:
        if blocks:
            width = int(width * keep)
            blocks.append(Block("transition", width, 2))
        blocks += [Block(op, growth, skips=CONCAT) for _ in range(layers)]
        width += layers * growth
    return blocks


def cifar_densenet(
    op: str, layers: int, growth: int, width: int, keep: float, input: Image | None, outputs: int | None
) -> Topology:
    """Return a DenseNet for CIFAR: three dense blocks of `layers` layers, after a stem of this width."""
    check_count("growth", growth, 1, 512)
    stem = Stem("conv3x3", width, {"norm": False})
    blocks = dense_blocks(op, (layers,) * 3, growth, width, keep)
    return classifier(input or CIFAR, stem, blocks, "norm_classify", outputs or 10)
