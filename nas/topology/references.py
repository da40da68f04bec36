"""The published architectures as topologies, built of the same ops and skips that a search uses. No torch.

Every function takes `input`, the shape of one sample, and `outputs`; the defaults are the paper's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from nas.errors import TopologyError, expected
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.chains import (
    ADD,
    CIFAR,
    GATE,
    IMAGENET,
    RESNETS,
    Image,
    blocks_a_stage,
    check_count,
    cifar_densenet,
    cifar_preact_resnet,
    cifar_resnet,
    classifier,
    dense_blocks,
    imagenet_resnet,
)
from nas.topology.convolutional_references import convnext, efficientnet, enas_macro, mobilenet_v2, regnet_y, resnext
from nas.topology.geometry import Options
from nas.topology.topology import Topology
from nas.topology.transformers import (
    attention_residuals,
    deepnorm_transformer,
    denseformer,
    gpt2,
    rezero_transformer,
)

# depth → layers of the four dense blocks, growth, width of the stem: table 1 of Huang et al. 2017
DENSENETS = {
    121: ((6, 12, 24, 16), 32, 64),
    169: ((6, 12, 32, 32), 32, 64),
    201: ((6, 12, 48, 32), 32, 64),
    161: ((6, 12, 36, 24), 48, 96),
}
# layers, width, heads, and the width of the feed-forward layer over the width: table 1 of Dosovitskiy et al. 2021
VITS = {"b": (12, 768, 12, 4), "l": (24, 1024, 16, 4), "h": (32, 1280, 16, 4)}
# layers, width, heads: table 2 of Radford et al. 2019


def plain(depth: int, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a ResNet without its shortcuts (He et al. 2015, arXiv:1512.03385): depth 18 or 34, or for CIFAR 6n+2."""
    if depth in (18, 34):
        return imagenet_resnet("plain", depth, 1, None, input, outputs)
    return cifar_resnet("basic", blocks_a_stage("plain", depth, 6, 2, (18, 34)), None, input, outputs)


def resnet(
    depth: int, *, cifar: bool | None = None, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """Return a ResNet (He et al. 2015, arXiv:1512.03385).

    Depths 18 to 152 are those of ImageNet, with projections; 6n+2 those of CIFAR, with zero-padded shortcuts. 50 and
    152 are of both kinds: those of ImageNet, unless cifar=True.
    """
    if depth in RESNETS and not cifar:
        return imagenet_resnet("resnet", depth, 1, ADD, input, outputs)
    blocks = blocks_a_stage("resnet", depth, 6, 2, () if cifar else RESNETS)
    return cifar_resnet("basic", blocks, Skip("add", shortcut="pad"), input, outputs)


def preact_resnet(depth: int, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a pre-activation ResNet for CIFAR (He et al. 2016, arXiv:1603.05027).

    Depths are 6n+2; those of 164 and 1001 layers are of bottlenecks.
    """
    if depth in (164, 1001):
        return cifar_preact_resnet("preact_bottleneck", (depth - 2) // 9, (64, 128, 256), input, outputs)
    return cifar_preact_resnet(
        "preact", blocks_a_stage("preact_resnet", depth, 6, 2, (164, 1001)), (16, 32, 64), input, outputs
    )


def wide_resnet(depth: int, widen: int, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a Wide ResNet (Zagoruyko & Komodakis 2016, arXiv:1605.07146): WRN-depth-widen, 6n+4, on CIFAR; on ImageNet
    depths 50 and 101, whose bottlenecks are `widen` times wider inside.
    """
    check_count("widen", widen, 1, 64)
    if depth in (50, 101):
        if widen not in (1, 2, 4):
            raise TopologyError(expected("widen of wide_resnet(50 | 101)", widen, ("1", "2", "4")))
        return imagenet_resnet("wide_resnet", depth, widen, ADD, input, outputs)
    blocks = blocks_a_stage("wide_resnet", depth, 6, 4, (50, 101))
    return cifar_preact_resnet("preact", blocks, (16 * widen, 32 * widen, 64 * widen), input, outputs)


def densenet(
    depth: int, growth: int | None = None, *, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """Return a DenseNet (Huang et al. 2017, arXiv:1608.06993).

    Depths 121, 161, 169 and 201 are those of ImageNet. With a growth rate it is the network for CIFAR without
    bottlenecks or compression, of depth 3n+4.
    """
    if growth is not None:
        layers = blocks_a_stage("densenet", depth, 3, 4)
        return cifar_densenet("dense_layer_plain", layers, growth, 16, 1.0, input, outputs)
    if depth not in DENSENETS:
        raise TopologyError(expected("depth of densenet without a growth rate", depth, map(str, sorted(DENSENETS))))
    stages, growth, width = DENSENETS[depth]
    blocks = dense_blocks("dense_layer", stages, growth, width, 0.5)
    return classifier(input or IMAGENET, Stem("conv7x7_pool", width), blocks, "norm_classify", outputs or 1000)


def densenet_bc(depth: int, growth: int = 12, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a DenseNet-BC for CIFAR, 6n+4 deep (Huang et al. 2017): with bottlenecks, compressed by half."""
    layers = blocks_a_stage("densenet_bc", depth, 6, 4)
    return cifar_densenet("dense_layer", layers, growth, 2 * growth, 0.5, input, outputs)


def highway(
    depth: int = 10, width: int = 50, *, input: tuple[int, ...] | None = None, outputs: int | None = None
) -> Topology:
    """Return a fully-connected highway network of `depth` layers, for MNIST (Srivastava et al. 2015, arXiv:1505.00387).

    It has one plain layer to the width, gated layers, and a linear classifier.
    """
    check_count("depth of highway", depth, 3, 1000)
    blocks = [Block("linear", width, skips=GATE) for _ in range(depth - 2)]
    return classifier(input or (1, 28, 28), Stem("linear", width), blocks, "classify", outputs or 10)


def highway_conv(
    depth: int = 11, width: int = 32, *, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """Return a convolutional highway network, 3n+2 deep, for CIFAR (Srivastava et al. 2015, arXiv:1507.06228).

    It has three stages of 3×3 convolutions with 3×3 gates; pooling in between halves the resolution, and the width
    doubles.
    """
    layers = blocks_a_stage("highway_conv", depth, 3, 2)
    blocks = []
    for stage in range(3):
        if stage:
            blocks.append(Block("maxpool", stride=2))
        blocks += [Block("conv", width << stage, skips=GATE) for _ in range(layers)]
    return classifier(input or CIFAR, Stem("conv3x3", width), blocks, "classify", outputs or 10)


def unet(
    base: int = 64,
    depth: int = 4,
    *,
    up: str = "transposed",
    input: Image | None = None,
    outputs: int | None = None,
) -> Topology:
    """Return a U-Net with norm and padding (Ronneberger et al. 2015, arXiv:1505.04597).

    It has `depth` poolings and is `base` wide at the top.

    up="transposed" learns its up-sampling; "bilinear" and "nearest" interpolate, and the double convolutions
    narrow the width instead.
    """
    check_count("depth of unet", depth, 1, 10)
    learned = up == "transposed"
    widths = [base << level for level in range(depth + 1)]
    if not learned:
        widths[-1] //= 2
    blocks, ends = [Block("double_conv", base)], [1]
    for width in widths[1:]:
        blocks += [Block("maxpool", stride=2, options={"kernel": 2}), Block("double_conv", width)]
        ends.append(len(blocks))
    for level in reversed(range(depth)):
        width = widths[level] if learned or level == 0 else widths[level] // 2
        middle = width if learned else widths[level]
        blocks += [
            Block("upconv", width if learned else None, skips=Skip("concat", ends[level]), options={"up": up}),
            Block("double_conv", width, options={"middle": 0 if middle == width else middle}),
        ]
    return classifier(input or (3, 256, 256), Stem("identity"), blocks, "conv1x1", outputs or 1)


def vit(size: str = "b", patch: int = 16, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return a ViT of size b, l or h (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    if size not in VITS:
        raise TopologyError(expected("size of vit", size, VITS))
    layers, width, heads, expansion = VITS[size]
    attention = Block("attention", width, skips=ADD, options={"heads": heads, "eps": 1e-6})
    feed = Block("feed_forward", width, skips=ADD, options={"expansion": expansion, "eps": 1e-6})
    stem = Stem("patch", width, {"patch": patch})
    head = Head("class_token", {"eps": 1e-6})
    return Topology(input or IMAGENET, stem, (attention, feed) * layers, head, outputs or 1000)


def vit_b_16(**ends: Any) -> Topology:
    """Return ViT-B/16 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("b", 16, **ends)


def vit_b_32(**ends: Any) -> Topology:
    """Return ViT-B/32 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("b", 32, **ends)


def vit_l_16(**ends: Any) -> Topology:
    """Return ViT-L/16 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("l", 16, **ends)


def vit_l_32(**ends: Any) -> Topology:
    """Return ViT-L/32 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("l", 32, **ends)


def vit_h_14(**ends: Any) -> Topology:
    """Return ViT-H/14 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("h", 14, **ends)


def mobilenet_like(*, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return MobileNetV2's chain with ReLU in stem and last layer (Sandler et al. 2018, arXiv:1801.04381, table 2)."""
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    blocks = []
    for expansion, width, repeats, stride in table:
        options: Options = {"expansion": expansion, "activation": "relu6"}
        blocks.append(Block("mbconv", width, stride, options=options))
        blocks += [Block("mbconv", width, skips=ADD, options=options) for _ in range(repeats - 1)]
    blocks.append(Block("conv", 1280, options={"kernel": 1}))
    return classifier(input or IMAGENET, Stem("conv3x3", 32, {"stride": 2}), blocks, "classify", outputs or 1000)


def nas_bench_macro(code: str, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Return the network of NAS-Bench-Macro (Su et al. 2021, arXiv:2103.11922) with a code of eight digits: a layer is
    0 the identity, 1 a MobileNetV2 block with kernel 3 and expansion 3, 2 one with kernel 5 and expansion 6.
    """
    if not re.fullmatch(r"[012]{8}", str(code)):
        raise TopologyError(f"code of nas_bench_macro must be eight digits 0, 1 or 2, but got {code!r}"[:200])
    blocks, width = [], 32
    for place, digit in enumerate(str(code)):
        first = place in (0, 2, 5)
        width *= 2 if first else 1
        if digit == "0":
            blocks.append(Block("identity", width, 2 if first else 1))
        else:
            options = {"kernel": 3, "expansion": 3} if digit == "1" else {"kernel": 5, "expansion": 6}
            blocks.append(Block("mbconv", width, 2 if first else 1, None if first else ADD, options))
    blocks.append(Block("conv", 1280, options={"kernel": 1}))
    return classifier(input or CIFAR, Stem("conv3x3", 32), blocks, "classify", outputs or 10)


REFERENCES: dict[str, Callable[..., Topology]] = {
    function.__name__: function
    for function in (
        *(plain, resnet, preact_resnet, wide_resnet, densenet, densenet_bc, highway, highway_conv, unet),
        *(vit, vit_b_16, vit_b_32, vit_l_16, vit_l_32, vit_h_14, mobilenet_like, nas_bench_macro),
        *(gpt2, denseformer, attention_residuals, rezero_transformer, deepnorm_transformer),
        *(convnext, resnext, mobilenet_v2, efficientnet, regnet_y, enas_macro),
    )
}
ONE_WORD = ("nas_bench_macro", "enas_macro", "convnext", "efficientnet", "regnet_y")
ARGUMENTS = re.compile(r"\(\w+(, *\w+)*\)|(_[a-z]+[0-9]*|_?[0-9]+[a-z]*)(_[a-z0-9]+)*")


def get(name: str, *, input: tuple[int, ...] | None = None, outputs: int | None = None) -> Topology:
    """Return the reference of a name such as `resnet18`, `wide_resnet28_10`, `gpt2_medium`, `unet` or `resnet(20)`.

    input and outputs fit it to a task. Raises TopologyError for an unknown name.
    """
    function, arguments = _parse(name)
    ends = {key: value for key, value in (("input", input), ("outputs", outputs)) if value is not None}
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments, **ends)
    except TypeError as error:
        takes = ", ".join(word for word in signature.parameters if word not in ("input", "outputs"))
        raise TopologyError(f"{function.__name__} takes ({takes}): {error}, but got {name!r}") from None
    return function(*arguments, **ends)


def known(name: str) -> bool:
    """Return whether `get` knows the family of this name."""
    try:
        _parse(name)
    except TopologyError:
        return False
    return True


def _parse(name: str) -> tuple[Callable[..., Topology], list[int | str]]:
    """Return the function and the positional arguments of `family`, `family18`, `family_18_10` or `family(18, 10)`.

    The families of ONE_WORD take all that follows as one word.
    """
    if name in REFERENCES:
        return REFERENCES[name], []
    for family in sorted(REFERENCES, key=len, reverse=True):  # the longest prefix is meant: densenet_bc, not densenet
        rest = name.removeprefix(family)
        if rest != name and len(rest) <= 80 and ARGUMENTS.fullmatch(rest):
            if family in ONE_WORD:
                return REFERENCES[family], [rest.strip("_()")]
            return REFERENCES[family], [_argument(word) for word in re.findall(r"[^_(), ]+", rest)]
    known = (*REFERENCES, *(f"resnet{depth}" for depth in RESNETS), *(f"densenet{depth}" for depth in DENSENETS))
    raise TopologyError(expected("a reference", name, known))


def _argument(word: str) -> int | str:
    return int(word) if word.isdecimal() else word
