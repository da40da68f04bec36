"""The published convolutional networks of torchvision's newer families, parameter for parameter. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from nas.errors import TopologyError, expected
from nas.topology.block import Block, Skip, Stem
from nas.topology.chains import ADD, CIFAR, IMAGENET, RESNETS, Image, classifier
from nas.topology.geometry import Options
from nas.topology.topology import Topology

# blocks and widths of the four stages: section 3 of Liu et al. 2022
CONVNEXTS = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
# cardinality and width of a group → groups, and the width over that of the grouped convolution: Xie et al. 2017
RESNEXTS = {"32x4d": (32, 2), "32x8d": (32, 1), "64x4d": (64, 1)}
# expansion, width, blocks, stride of the stages: table 2 of Sandler et al. 2018
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# the ops of a layer, by their number: appendix of Pham et al. 2018
ENAS_OPS: tuple[tuple[str, Options], ...] = (
    ("conv", {"kernel": 3}),
    ("separable_conv", {"kernel": 3}),
    ("conv", {"kernel": 5}),
    ("separable_conv", {"kernel": 5}),
    ("avgpool", {"kernel": 3}),
    ("maxpool", {"kernel": 3}),
)
ENAS_WIDTH = 36
# expansion, kernel, stride, width, blocks of the stages: table 1 of Tan & Le 2019
EFFICIENTNET = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# factors of width and depth, and the size of the image, as the authors' code has them
EFFICIENTNETS = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
}
# blocks and widths of the four stages, and the width of a group: table of RegNetY in Radosavovic et al. 2020
REGNETS_Y = {
    "400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "800mf": ((1, 3, 8, 2), (64, 144, 320, 784), 16),
    "1_6gf": ((2, 6, 17, 2), (48, 120, 336, 888), 24),
    "3_2gf": ((2, 5, 13, 1), (72, 216, 576, 1512), 24),
    "8gf": ((2, 4, 10, 1), (224, 448, 896, 2016), 56),
    "16gf": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112),
    "32gf": ((2, 5, 12, 1), (232, 696, 1392, 3712), 232),
}


def convnext(size: str = "tiny", *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a ConvNeXt of size tiny, small, base or large (Liu et al. 2022, arXiv:2201.03545)."""
    _check_name("size of convnext", size, CONVNEXTS)
    repeats, widths = CONVNEXTS[size]
    blocks: list[Block] = []
    for count, width in zip(repeats, widths, strict=True):
        if blocks:
            blocks.append(Block("downsample", width, 2))
        blocks += [Block("convnext", width, skips=ADD)] * count
    stem = Stem("patchify", widths[0])
    return classifier(input or IMAGENET, stem, blocks, "pool_norm_classify", outputs or 1000)


def resnext(
    depth: int = 50, groups: str = "32x4d", *, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """Return a ResNeXt (Xie et al. 2017, arXiv:1611.05431): depth 50, 101 or 152, and 32x4d, 32x8d or 64x4d, the number
    of groups and the width of one in the first stage.
    """
    depths = tuple(str(known) for known, (op, _) in RESNETS.items() if op == "bottleneck")
    _check_name("depth of resnext", str(depth), depths)
    _check_name("groups of resnext", groups, RESNEXTS)
    cardinality, expansion = RESNEXTS[groups]
    options = {"groups": cardinality, "expansion": expansion}
    blocks = _stages("grouped_bottleneck", RESNETS[int(depth)][1], (256, 512, 1024, 2048), options, first_stride=1)
    return classifier(input or IMAGENET, Stem("conv7x7_pool", 64), blocks, "classify", outputs or 1000)


def mobilenet_v2(*, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381, table 2)."""
    blocks = []
    for expansion, width, repeats, stride in MOBILENET_V2:
        options: Options = {"expansion": expansion, "activation": "relu6"}
        blocks.append(Block("mbconv", width, stride, options=options))
        blocks += [Block("mbconv", width, skips=ADD, options=options)] * (repeats - 1)
    blocks.append(Block("conv_norm_act", 1280, options={"kernel": 1, "activation": "relu6"}))
    stem = Stem("conv_norm_act", 32, {"stride": 2, "activation": "relu6"})
    return classifier(input or IMAGENET, stem, blocks, "classify", outputs or 1000)


def efficientnet(size: str = "b0", *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return an EfficientNet of size b0 to b4 (Tan & Le 2019, arXiv:1905.11946)."""
    _check_name("size of efficientnet", size, EFFICIENTNETS)
    wider, deeper, pixels = EFFICIENTNETS[size]
    blocks = []
    for expansion, kernel, stride, width, repeats in EFFICIENTNET:
        options: Options = {"expansion": expansion, "kernel": kernel}
        width = _eights(width * wider)
        blocks.append(Block("mbconv_se", width, stride, options=options))
        blocks += [Block("mbconv_se", width, skips=ADD, options=options)] * (math.ceil(repeats * deeper) - 1)
    blocks.append(Block("conv_norm_act", 4 * width, options={"kernel": 1}))
    stem = Stem("conv_norm_act", _eights(32 * wider), {"stride": 2})
    return classifier(input or (3, pixels, pixels), stem, blocks, "classify", outputs or 1000)


def regnet_y(size: str = "400mf", *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a RegNetY of 400mf to 32gf, its FLOPs (Radosavovic et al. 2020, arXiv:2003.13678)."""
    _check_name("size of regnet_y", size, REGNETS_Y)
    repeats, widths, group = REGNETS_Y[size]
    blocks = []
    for count, width in zip(repeats, widths, strict=True):
        options = {"groups": width // group, "reduction": 4}
        blocks += _stages("grouped_bottleneck", (count,), (width,), options, first_stride=2)
    stem = Stem("conv3x3", 32, {"stride": 2})
    return classifier(input or IMAGENET, stem, blocks, "classify", outputs or 1000)


def _stages(
    op: str, repeats: tuple[int, ...], widths: tuple[int, ...], options: Options, first_stride: int
) -> list[Block]:
    """Return residual blocks in stages; the first begins with `first_stride`, every other one with stride 2."""
    blocks: list[Block] = []
    for count, width in zip(repeats, widths, strict=True):
        blocks.append(Block(op, width, 2 if blocks else first_stride, ADD, options))
        blocks += [Block(op, width, skips=ADD, options=options)] * (count - 1)
    return blocks


def _eights(width: float) -> int:
    """Return the multiple of 8 nearest to a width; the one above it where that would be less than nine tenths of it."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


def _check_name(what: str, name: object, known: Collection[str]) -> None:
    if not isinstance(name, str) or name not in known:
        raise TopologyError(expected(what, name, known))


def enas_macro(arc: str, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a network of the macro space of ENAS (Pham et al. 2018, arXiv:1802.03268), 36 wide.

    arc  one word for each layer: the number of its op in ENAS_OPS, and for each layer before the one in front of it a 1
         where that is read too, `enas_macro_0_5_21_301`. What a layer reads is concatenated, and goes through a 1×1
         convolution.

    The resolution is halved after each third of the layers, by the first op behind; what comes from before is averaged.
    """
    blocks: list[Block] = []
    ends: list[int] = []
    rows = str(arc).split("_")
    for number, row in enumerate(rows):
        if not re.fullmatch(rf"[0-5][01]{{{max(number - 1, 0)}}}", row):
            rule = f"an op, 0 to 5, and {max(number - 1, 0)} bits"
            raise TopologyError(f"layer {number + 1} of enas_macro must be {rule}, but got {row!r}"[:200])
        read = [end for end, bit in zip(ends, row[1:], strict=False) if bit == "1"]
        if read:
            blocks.append(Block("identity", skips=[Skip("concat", source) for source in read]))
            blocks.append(Block("conv", ENAS_WIDTH, options={"kernel": 1}))
        op, options = ENAS_OPS[int(row[0])]
        halves = number in (len(rows) // 3, 2 * len(rows) // 3) and number > 0
        blocks.append(Block(op, None if "pool" in op else ENAS_WIDTH, 2 if halves else 1, options=options))
        ends.append(len(blocks))
    return classifier(input or CIFAR, Stem("conv3x3", ENAS_WIDTH), blocks, "classify", outputs or 10)
