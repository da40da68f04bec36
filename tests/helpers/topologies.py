"""Small topologies: one of every family, and random ones over every op, kind, join, stem and head."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from nas.errors import TopologyError
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Scale, Skip, Stem, options_of
from nas.topology.vocabulary import HEADS, JOINS, OPS, SCALES, SHORTCUTS, STEMS, Option

FAMILIES = ("image", "sequence", "vector")
WIDTHS = (4, 8, 12)
SMALL_VALUES = {"vocabulary": (11,), "patch": (2, 4)}  # options whose default is large
SMALL = {
    "resnet18": references.resnet(18, input=(3, 32, 32)),
    "resnet20": references.resnet(20),
    "plain20": references.plain(20),
    "preact_resnet20": references.preact_resnet(20),
    "wide_resnet16_1": references.wide_resnet(16, 1),
    "densenet121": references.densenet(121, input=(3, 32, 32)),
    "densenet_bc40": references.densenet_bc(40),
    "highway": references.highway(),
    "highway_conv": references.highway_conv(11),
    "unet": references.unet(8, input=(3, 32, 32)),
    "unet_bilinear": references.unet(8, up="bilinear", input=(3, 32, 32)),
    "vit": Topology(
        (3, 32, 32),
        Stem("patch", 32, {"patch": 8}),
        (Block("attention", 32, skips=Skip("add")), Block("feed_forward", 32, skips=Skip("add"))) * 4,
        Head("class_token"),
        10,
    ),
    "gpt": Topology(
        (16,),
        Stem("token", 32, {"vocabulary": 50}),
        (Block("attention", skips=Skip("add"), options={"causal": True}), Block("feed_forward", skips=Skip("add"))) * 3,
        Head("language_model"),
        50,
    ),
    "post_norm": Topology(
        (16,),
        Stem("token", 32, {"vocabulary": 50}),
        (
            Block("attention", skips=Skip("gate"), options={"norm": "post"}),
            Block("feed_forward", skips=Skip("gate"), options={"norm": "post"}),
        )
        * 3,
        Head("classify"),
        5,
    ),
    "mobilenet_like": references.mobilenet_like(input=(3, 32, 32)),
    "efficientnet": references.efficientnet("b0", input=(3, 32, 32)),
    "regnet_y": references.regnet_y("400mf", input=(3, 32, 32)),
    "nas_bench_macro": references.nas_bench_macro("01201201"),
}


IMAGES = {
    "residual": (Block("basic", 8, 2, Skip("add")), Block("bottleneck", 8, skips=Skip("add", shortcut="pad"))),
    "preact": (Block("preact", 8, 2, Skip("add")), Block("preact_bottleneck", 8, skips=Skip("add"))),
    "dense": (
        Block("dense_layer", 4, skips=Skip("concat")),
        Block("dense_layer_plain", 4, skips=Skip("concat")),
        Block("transition", 8, 2),
    ),
    "highway": (Block("conv", 4, skips=Skip("gate")), Block("conv", 8, 2, skips=Skip("gate"))),
    "mobile": (Block("mbconv", 4, skips=Skip("mul")), Block("convnext", 8, 2, skips=Skip("add"))),
    "unet": (
        Block("double_conv", 4),
        Block("maxpool", stride=2),
        Block("double_conv", 8),
        Block("upconv", 4, skips=Skip("concat", 1)),
        Block("double_conv", 4, skips=Skip("add", 2)),
    ),
    "grouped": (
        Block("grouped_bottleneck", 8, 2, Skip("add"), {"expansion": 2, "groups": 2}),
        Block("grouped_bottleneck", 8, skips=Skip("add"), options={"reduction": 4}),
    ),
    "squeezed": (
        Block("mbconv_se", 4, skips=Skip("add"), options={"expansion": 2}),
        Block("mbconv_se", 8, 2, options={"expansion": 1, "kernel": 5}),
        Block("conv_norm_act", 8, options={"kernel": 1}),
    ),
    "bilinear": (Block("conv", 4, 2), Block("upconv", 4, skips=Skip("add", 0), options={"up": "bilinear"})),
}
TINY = {  # a network of every family as small as can be
    **{name: Topology((3, 8, 8), Stem("conv3x3", 4), blocks, Head("classify"), 3) for name, blocks in IMAGES.items()},
    "pixels": Topology((3, 9, 9), Stem("conv7x7_pool", 4), IMAGES["residual"], Head("conv1x1"), 3),
    "convnext": Topology(
        (3, 8, 8),
        Stem("patchify", 4, {"patch": 2}),
        (Block("convnext", 4, skips=Skip("add")), Block("downsample", 8, 2), Block("convnext", 8, skips=Skip("add"))),
        Head("pool_norm_classify"),
        3,
    ),
    "linear": Topology((5,), Stem("linear", 4), (Block("linear", 4, skips=Skip("add")),), Head("classify"), 3),
    **{name: SMALL[name] for name in ("vit", "gpt", "post_norm")},
}


def only_skip(block: Block) -> Skip | None:
    """Return the skip of a block that has one at most."""
    assert len(block.skips) <= 1
    return block.skips[0] if block.skips else None


def kind_of(block: Block) -> str:
    """Return the kind of the skip of a block that has one at most, or `none`."""
    skip = only_skip(block)
    return "none" if skip is None else skip.kind


def random_topology(rng: random.Random, family: str | None = None, max_blocks: int = 8, max_skips: int = 4) -> Topology:
    """A small valid topology, of a random.Random (or hypothesis's); what cannot be built is drawn again."""
    family = family or rng.choice(FAMILIES)
    draw = {"image": _image, "sequence": _sequence, "vector": _vector}[family]
    for _ in range(1000):
        try:
            return draw(rng, rng.randint(0, max_blocks), max_skips)
        except TopologyError:
            continue
    raise AssertionError(f"no valid topology of family {family} in 1000 draws")


def _image(rng: random.Random, length: int, max_skips: int) -> Topology:
    size = rng.choice([5, 7, 8, 12])
    return _chain(rng, "image", (rng.choice([1, 3]), size, rng.choice([size, 8])), length, max_skips)


def _sequence(rng: random.Random, length: int, max_skips: int) -> Topology:
    return _chain(rng, "sequence", rng.choice([(6,), (rng.choice([1, 3]), 8, 8)]), length, max_skips)


def _vector(rng: random.Random, length: int, max_skips: int) -> Topology:
    return _chain(rng, "vector", rng.choice([(5,), (1, 4, 4)]), length, max_skips)


def _chain(rng: random.Random, layout: str, input: tuple[int, ...], length: int, max_skips: int) -> Topology:
    """A stem that gives features of the layout, blocks and a head that read them: any that the tables hold."""
    stem = _stem(rng, rng.choice([*STEMS]))
    first = STEMS[stem.op].shape(input, stem.width, options_of(stem))
    if first.layout != layout:
        raise TopologyError(f"{stem.op} gives {first.layout} features")
    ops = [name for name, op in OPS.items() if layout in op.layouts]
    blocks = tuple(_block(rng, number, rng.choice(ops), max_skips) for number in range(1, length + 1))
    head = rng.choice([name for name, head in HEADS.items() if layout in head.layouts])
    outputs = int(options_of(stem).get("vocabulary", 1)) if HEADS[head].tied else rng.randint(2, 5)
    return Topology(input, stem, blocks, Head(head, _options(rng, HEADS[head].options)), outputs)


def _stem(rng: random.Random, name: str) -> Stem:
    return Stem(name, None if STEMS[name].fixed_width else rng.choice(WIDTHS), _options(rng, STEMS[name].options))


def _block(rng: random.Random, number: int, name: str, max_skips: int) -> Block:
    op = OPS[name]
    width = None if op.keeps_width else rng.choice([None, *WIDTHS])
    stride = rng.choice([1, 1, 2]) if op.strided and "image" in op.layouts else 1
    several = rng.choice((1, 1, 1, 2, 3, 4)) if max_skips > 1 else 1
    skips = [] if rng.random() < 0.25 else [_skip(rng, number) for _ in range(min(several, max_skips))]
    return Block(name, width, stride, skips, _options(rng, op.options), _scale(rng))


def _skip(rng: random.Random, number: int) -> Skip:
    source = rng.randrange(number) if rng.random() < 0.5 else None
    kind = rng.choice([*JOINS])
    scale = None if JOINS[kind].together else _scale(rng)
    return Skip(kind, source, rng.choice(SHORTCUTS), _options(rng, JOINS[kind].options), scale)


def _scale(rng: random.Random) -> Scale | None:
    if rng.random() < 0.6:
        return None
    kind = rng.choice([*SCALES])
    return Scale(kind, _options(rng, SCALES[kind].options))


def _options(rng: random.Random, known: Mapping[str, Option]) -> dict[str, Any]:
    """Small values for about half of the options; all are within their bounds and choices."""
    options: dict[str, Any] = {}
    for key, option in known.items():
        if rng.random() < 0.5 and key not in SMALL_VALUES:
            continue
        if option.choices:
            options[key] = rng.choice(option.choices)
        elif isinstance(option.default, bool):
            options[key] = rng.random() < 0.5
        elif isinstance(option.default, int):
            values = [n for n in SMALL_VALUES.get(key, (1, 2, 3, 4, 5)) if option.low <= n <= option.high]
            options[key] = rng.choice([n for n in values if n % 2 or not option.odd])
        else:
            options[key] = rng.choice([option.default, 1e-6, *option.words])
    return options
