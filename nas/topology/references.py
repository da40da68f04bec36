"""The published architectures as topologies, built of the same ops and skips that a search uses. No torch.

Every function takes `input`, the shape of one sample, and `outputs`; the defaults are the paper's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from nas.errors import TopologyError, expected
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.geometry import Options
from nas.topology.topology import Topology

Image = tuple[int, int, int]
IMAGENET: Image = (3, 224, 224)
CIFAR: Image = (3, 32, 32)
ADD, CONCAT, GATE = Skip("add"), Skip("concat"), Skip("gate")

# depth → op and blocks of the four stages: table 1 of He et al. 2015
RESNETS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
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
GPT2S = {"small": (12, 768, 12), "medium": (24, 1024, 16), "large": (36, 1280, 20), "xl": (48, 1600, 25)}


def plain(depth: int, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """ResNet without its shortcuts: depths 18 and 34 on ImageNet, 6n+2 on CIFAR (He et al. 2015, arXiv:1512.03385)."""
    if depth in (18, 34):
        return _imagenet_resnet("plain", depth, 1, None, input, outputs)
    return _cifar_resnet("basic", _thirds("plain", depth, 6, 2, (18, 34)), None, input, outputs)


def resnet(
    depth: int, *, cifar: bool | None = None, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """ResNet (He et al. 2015, arXiv:1512.03385): depths 18 to 152 on ImageNet with projections, 6n+2 on CIFAR
    with zero-padded shortcuts. 50 and 152 are of both kinds: ImageNet's, unless cifar=True.
    """
    if depth in RESNETS and not cifar:
        return _imagenet_resnet("resnet", depth, 1, ADD, input, outputs)
    blocks = _thirds("resnet", depth, 6, 2, () if cifar else RESNETS)
    return _cifar_resnet("basic", blocks, Skip("add", shortcut="pad"), input, outputs)


def preact_resnet(depth: int, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Pre-activation ResNet on CIFAR (He et al. 2016, arXiv:1603.05027): depths 6n+2; 164 and 1001 of bottlenecks."""
    if depth in (164, 1001):
        return _preact_resnet("preact_bottleneck", (depth - 2) // 9, (64, 128, 256), input, outputs)
    return _preact_resnet("preact", _thirds("preact_resnet", depth, 6, 2, (164, 1001)), (16, 32, 64), input, outputs)


def wide_resnet(depth: int, widen: int, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """Wide ResNet (Zagoruyko & Komodakis 2016, arXiv:1605.07146): WRN-depth-widen, 6n+4, on CIFAR; on ImageNet
    depths 50 and 101, whose bottlenecks are `widen` times wider inside.
    """
    _count("widen", widen, 1, 64)
    if depth in (50, 101):
        if widen not in (1, 2, 4):
            raise TopologyError(expected("widen of wide_resnet(50 | 101)", widen, ("1", "2", "4")))
        return _imagenet_resnet("wide_resnet", depth, widen, ADD, input, outputs)
    blocks = _thirds("wide_resnet", depth, 6, 4, (50, 101))
    return _preact_resnet("preact", blocks, (16 * widen, 32 * widen, 64 * widen), input, outputs)


def densenet(
    depth: int, growth: int | None = None, *, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """DenseNet (Huang et al. 2017, arXiv:1608.06993): depths 121, 161, 169, 201 on ImageNet; with a growth rate,
    the network without bottlenecks or compression on CIFAR, depths 3n+4.
    """
    if growth is not None:
        layers = _thirds("densenet", depth, 3, 4)
        return _cifar_densenet("dense_layer_plain", layers, growth, 16, 1.0, input, outputs)
    if depth not in DENSENETS:
        raise TopologyError(expected("depth of densenet without a growth rate", depth, map(str, sorted(DENSENETS))))
    stages, growth, width = DENSENETS[depth]
    blocks = _dense_blocks("dense_layer", stages, growth, width, 0.5)
    return _topology(input or IMAGENET, Stem("conv7x7_pool", width), blocks, "norm_classify", outputs or 1000)


def densenet_bc(depth: int, growth: int = 12, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """DenseNet-BC on CIFAR: bottlenecks, compression by half, depths 6n+4 (Huang et al. 2017, arXiv:1608.06993)."""
    layers = _thirds("densenet_bc", depth, 6, 4)
    return _cifar_densenet("dense_layer", layers, growth, 2 * growth, 0.5, input, outputs)


def highway(
    depth: int = 10, width: int = 50, *, input: tuple[int, ...] | None = None, outputs: int | None = None
) -> Topology:
    """A fully-connected highway network of `depth` layers, on MNIST (Srivastava et al. 2015, arXiv:1505.00387):
    one plain layer to the width, gated layers, and a linear classifier.
    """
    _count("depth of highway", depth, 3, 1000)
    blocks = [Block("linear", width, skip=GATE) for _ in range(depth - 2)]
    return _topology(input or (1, 28, 28), Stem("linear", width), blocks, "classify", outputs or 10)


def highway_conv(
    depth: int = 11, width: int = 32, *, input: Image | None = None, outputs: int | None = None
) -> Topology:
    """A convolutional highway network, 3n+2 deep, on CIFAR (Srivastava et al. 2015, arXiv:1507.06228): three stages
    of 3×3 convolutions gated through 3×3 gates, the width doubled and the resolution halved by pooling in between.
    """
    layers = _thirds("highway_conv", depth, 3, 2)
    blocks = []
    for stage in range(3):
        if stage:
            blocks.append(Block("maxpool", stride=2))
        blocks += [Block("conv", width << stage, skip=GATE) for _ in range(layers)]
    return _topology(input or CIFAR, Stem("conv3x3", width), blocks, "classify", outputs or 10)


def unet(
    base: int = 64,
    depth: int = 4,
    *,
    up: str = "transposed",
    input: Image | None = None,
    outputs: int | None = None,
) -> Topology:
    """U-Net with norm and padding (Ronneberger et al. 2015, arXiv:1505.04597): `depth` poolings, `base` wide on top.

    up="transposed" learns its up-sampling; "bilinear" and "nearest" interpolate, and the double convolutions
    narrow the width instead.
    """
    _count("depth of unet", depth, 1, 10)
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
            Block("upconv", width if learned else None, skip=Skip("concat", ends[level]), options={"up": up}),
            Block("double_conv", width, options={"middle": 0 if middle == width else middle}),
        ]
    return _topology(input or (3, 256, 256), Stem("identity"), blocks, "conv1x1", outputs or 1)


def vit(size: str = "b", patch: int = 16, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """ViT (Dosovitskiy et al. 2021, arXiv:2010.11929): size b, l or h."""
    if size not in VITS:
        raise TopologyError(expected("size of vit", size, VITS))
    layers, width, heads, expansion = VITS[size]
    attention = Block("attention", width, skip=ADD, options={"heads": heads, "eps": 1e-6})
    feed = Block("feed_forward", width, skip=ADD, options={"expansion": expansion, "eps": 1e-6})
    stem = Stem("patch", width, {"patch": patch})
    head = Head("class_token", {"eps": 1e-6})
    return Topology(input or IMAGENET, stem, (attention, feed) * layers, head, outputs or 1000)


def vit_b_16(**ends: Any) -> Topology:
    """ViT-B/16 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("b", 16, **ends)


def vit_b_32(**ends: Any) -> Topology:
    """ViT-B/32 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("b", 32, **ends)


def vit_l_16(**ends: Any) -> Topology:
    """ViT-L/16 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("l", 16, **ends)


def vit_l_32(**ends: Any) -> Topology:
    """ViT-L/32 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("l", 32, **ends)


def vit_h_14(**ends: Any) -> Topology:
    """ViT-H/14 (Dosovitskiy et al. 2021, arXiv:2010.11929)."""
    return vit("h", 14, **ends)


def gpt2(size: str = "small", *, input: tuple[int, ...] | None = None, outputs: int | None = None) -> Topology:
    """GPT-2 (Radford et al. 2019, "Language models are unsupervised multitask learners"): small, medium, large, xl.

    `input` is the context (T,), `outputs` the size of the vocabulary.
    """
    if size not in GPT2S:
        raise TopologyError(expected("size of gpt2", size, GPT2S))
    layers, width, heads = GPT2S[size]
    vocabulary = outputs or 50257
    attention = Block("attention", width, skip=ADD, options={"heads": heads, "causal": True})
    feed = Block("feed_forward", width, skip=ADD, options={"activation": "gelu_tanh"})
    stem = Stem("token", width, {"vocabulary": vocabulary})
    return Topology(input or (1024,), stem, (attention, feed) * layers, Head("language_model"), vocabulary)


def mobilenet_like(*, input: Image | None = None, outputs: int | None = None) -> Topology:
    """MobileNetV2's chain (Sandler et al. 2018, arXiv:1801.04381, table 2) with ReLU in the stem and the last layer."""
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    blocks = []
    for expansion, width, repeats, stride in table:
        options: Options = {"expansion": expansion, "activation": "relu6"}
        blocks.append(Block("mbconv", width, stride, options=options))
        blocks += [Block("mbconv", width, skip=ADD, options=options) for _ in range(repeats - 1)]
    blocks.append(Block("conv", 1280, options={"kernel": 1}))
    return _topology(input or IMAGENET, Stem("conv3x3", 32, {"stride": 2}), blocks, "classify", outputs or 1000)


def nas_bench_macro(code: str, *, input: Image | None = None, outputs: int | None = None) -> Topology:
    """A network of NAS-Bench-Macro (Su et al. 2021, arXiv:2103.11922) by its code of eight digits: a layer is
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
    return _topology(input or CIFAR, Stem("conv3x3", 32), blocks, "classify", outputs or 10)


REFERENCES: dict[str, Callable[..., Topology]] = {
    function.__name__: function
    for function in (
        *(plain, resnet, preact_resnet, wide_resnet, densenet, densenet_bc, highway, highway_conv, unet),
        *(vit, vit_b_16, vit_b_32, vit_l_16, vit_l_32, vit_h_14, gpt2, mobilenet_like, nas_bench_macro),
    )
}


def get(name: str, *, input: tuple[int, ...] | None = None, outputs: int | None = None) -> Topology:
    """The reference that a person means by `resnet18`, `wide_resnet28_10`, `gpt2_medium`, `unet` or `resnet(20)`.

    input and outputs fit it to a task. Raises TopologyError for a name that is none.
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
    """Whether `get` would know the family of this name."""
    try:
        _parse(name)
    except TopologyError:
        return False
    return True


def _parse(name: str) -> tuple[Callable[..., Topology], list[int | str]]:
    """`family`, `family18`, `family_18_10`, `family(18, 10)` → the function and its positional arguments."""
    if name in REFERENCES:
        return REFERENCES[name], []
    for family in sorted(REFERENCES, key=len, reverse=True):  # the longest prefix is meant: densenet_bc, not densenet
        rest = name.removeprefix(family)
        if rest != name and len(rest) <= 80 and re.fullmatch(r"\(\w+(, *\w+)*\)|(_[a-z]+|_?[0-9]+)(_[a-z0-9]+)*", rest):
            return REFERENCES[family], [_argument(family, word) for word in re.findall(r"[^_(), ]+", rest)]
    known = (*REFERENCES, *(f"resnet{depth}" for depth in RESNETS), *(f"densenet{depth}" for depth in DENSENETS))
    raise TopologyError(expected("a reference", name, known))


def _argument(family: str, word: str) -> int | str:
    return int(word) if word.isdecimal() and family != "nas_bench_macro" else word


def _topology(input: tuple[int, ...], stem: Stem, blocks: Iterable[Block], head: str, outputs: int) -> Topology:
    return Topology(input, stem, tuple(blocks), Head(head), outputs)


def _count(what: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise TopologyError(f"{low} <= {what} <= {high} must hold for a whole number, but got {value!r}"[:200])


def _thirds(name: str, depth: int, a: int, b: int, besides: Iterable[int] = ()) -> int:
    """n of depth = a·n + b: how many blocks each of the three stages has."""
    if type(depth) is int and depth <= 4000 and depth > b and (depth - b) % a == 0:
        return (depth - b) // a
    some = sorted({a * n + b for n in (1, 3, 5, 9, 18)} | set(besides))
    raise TopologyError(f"depth of {name} must be {a}n+{b} or published: {', '.join(map(str, some))}, …; got {depth!r}")


def _imagenet_resnet(
    name: str, depth: int, widen: int, skip: Skip | None, input: Image | None, outputs: int | None
) -> Topology:
    op, stages = RESNETS[depth]
    expansion = 4 if op == "bottleneck" else 1
    options = {} if op == "basic" else {"expansion": expansion // widen}
    blocks = []
    for stage, repeats in enumerate(stages):
        for place in range(repeats):
            stride = 2 if stage and not place else 1
            blocks.append(Block(op, (64 << stage) * expansion, stride, skip, options))
    return _topology(input or IMAGENET, Stem("conv7x7_pool", 64), blocks, "classify", outputs or 1000)


def _stages(op: str, repeats: int, widths: Iterable[int], skip: Skip | None) -> Iterable[Block]:
    """Stages of `repeats` blocks; all but the first begin with stride 2."""
    for stage, width in enumerate(widths):
        yield Block(op, width, 2 if stage else 1, skip)
        yield from (Block(op, width, skip=skip) for _ in range(repeats - 1))


def _cifar_resnet(op: str, repeats: int, skip: Skip | None, input: Image | None, outputs: int | None) -> Topology:
    blocks = _stages(op, repeats, (16, 32, 64), skip)
    return _topology(input or CIFAR, Stem("conv3x3", 16), blocks, "classify", outputs or 10)


def _preact_resnet(op: str, repeats: int, widths: Iterable[int], input: Image | None, outputs: int | None) -> Topology:
    stem = Stem("conv3x3", 16, {"norm": False})
    return _topology(input or CIFAR, stem, _stages(op, repeats, widths, ADD), "norm_classify", outputs or 10)


def _dense_blocks(op: str, stages: Iterable[int], growth: int, width: int, keep: float) -> list[Block]:
    """Dense blocks of `growth`-wide layers; transitions in between keep that share of the width."""
    blocks: list[Block] = []
    for layers in stages:
        if blocks:
            width = int(width * keep)
            blocks.append(Block("transition", width, 2))
        blocks += [Block(op, growth, skip=CONCAT) for _ in range(layers)]
        width += layers * growth
    return blocks


def _cifar_densenet(
    op: str, layers: int, growth: int, width: int, keep: float, input: Image | None, outputs: int | None
) -> Topology:
    _count("growth", growth, 1, 512)
    stem = Stem("conv3x3", width, {"norm": False})
    blocks = _dense_blocks(op, (layers,) * 3, growth, width, keep)
    return _topology(input or CIFAR, stem, blocks, "norm_classify", outputs or 10)
