"""What the parts train: topologies of every family, and chains for images with skips drawn at random."""

from __future__ import annotations

import random

from nas.errors import TopologyError
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.chains import ADD, CONCAT, GATE
from tests.helpers.topologies import SMALL, TINY, random_topology

KINDS = (None, ADD, CONCAT, GATE, Skip("mul"))
OPS = ("conv", "basic", "preact", "convnext")


def of_all_families(count: int) -> dict[str, Topology]:
    """Name → topology: one of every family, then random ones over every op, kind, stem and head."""
    rng = random.Random(0)
    known = {**TINY, **{name: topology for name, topology in SMALL.items() if name not in TINY}}
    drawn = {f"random {number}": random_topology(rng) for number in range(max(0, count - len(known)))}
    return dict(list((known | drawn).items())[:count])


def drawn_chain(seed: int, size: int = 32, *, blocks: int = 3, width: int = 16, channels: int = 3) -> Topology:
    """A chain of three stages of `blocks` blocks whose ops, kinds and sources are drawn."""
    rng = random.Random(seed)
    while True:
        chain = []
        for number in range(3 * blocks):
            kind = rng.choice(KINDS)
            wide = width << number // blocks
            narrow = kind is not None and kind.kind == "concat"
            source = rng.randrange(number + 1) if kind is not None and rng.random() < 0.3 else None
            skip = kind if kind is None or source is None else Skip(kind.kind, source, options=dict(kind.options))
            stride = 2 if number and number % blocks == 0 else 1
            chain.append(Block(rng.choice(OPS), wide // 2 if narrow else wide, stride, skip))
        try:
            return Topology((channels, size, size), Stem("conv3x3", width), tuple(chain), Head("classify"), 10)
        except TopologyError:
            continue


def for_memory(small: bool) -> dict[str, Topology]:
    """Twelve networks of different kinds for images of 32×32; or two small ones."""
    if small:
        return {"dense": TINY["dense"], "vit": TINY["vit"]}
    return {
        "resnet20": references.resnet(20),
        "plain20": references.plain(20),
        "resnet110": references.resnet(110),
        "preact_resnet110": references.preact_resnet(110),
        "wide_resnet16_4": references.wide_resnet(16, 4),
        "densenet_bc100": references.densenet_bc(100),
        "densenet40": references.densenet(40, 12),
        "highway_conv17": references.highway_conv(17),
        "unet": references.unet(32, input=(3, 64, 64), outputs=4),
        "mobilenet_like": references.mobilenet_like(input=(3, 32, 32), outputs=10),
        "vit": SMALL["vit"],
        "drawn": drawn_chain(0),
    }
