"""Random topologies over every op, kind, join, stem and head, for any `random.Random` (hypothesis's too)."""

from __future__ import annotations

import random
from typing import Any

from nas.block import Block, Head, Skip, Stem
from nas.errors import TopologyError
from nas.topology import Topology
from nas.vocabulary import JOINS, OPS, SHORTCUTS

FAMILIES = ("image", "sequence", "vector")
WIDTHS = (4, 8, 12)
IMAGE_OPS = [name for name, op in OPS.items() if "image" in op.layouts]


def random_topology(rng: random.Random, family: str | None = None, max_blocks: int = 8) -> Topology:
    """A small valid topology; what cannot be built is drawn again."""
    family = family or rng.choice(FAMILIES)
    draw = {"image": _image, "sequence": _sequence, "vector": _vector}[family]
    for _ in range(1000):
        try:
            return draw(rng, rng.randint(0, max_blocks))
        except TopologyError:
            continue
    raise AssertionError(f"no valid topology of family {family} in 1000 draws")


def _image(rng: random.Random, length: int) -> Topology:
    size = rng.choice([5, 7, 8, 12])
    input = (rng.choice([1, 3]), size, rng.choice([size, 8]))
    stem = rng.choice(
        [
            Stem("conv3x3", rng.choice(WIDTHS)),
            Stem("conv3x3", rng.choice(WIDTHS), {"norm": False, "stride": rng.choice([1, 2])}),
            Stem("conv7x7_pool", rng.choice(WIDTHS)),
            Stem("identity"),
        ]
    )
    blocks = [_block(rng, number, rng.choice(IMAGE_OPS)) for number in range(1, length + 1)]
    head = Head(rng.choice(["classify", "norm_classify", "conv1x1"]))
    return Topology(input, stem, tuple(blocks), head, rng.randint(2, 5))


def _sequence(rng: random.Random, length: int) -> Topology:
    ops = ["attention", "feed_forward", "linear", "identity"]
    blocks = tuple(_block(rng, number, rng.choice(ops)) for number in range(1, length + 1))
    width, eps = rng.choice(WIDTHS), rng.choice([1e-5, 1e-6])
    if rng.random() < 0.5:
        stem = Stem("token", width, {"vocabulary": 11})
        if rng.random() < 0.5:
            return Topology((6,), stem, blocks, Head("language_model", {"eps": eps}), 11)
        return Topology((6,), stem, blocks, Head("classify"), 3)
    token = rng.random() < 0.5
    head = Head("class_token", {"eps": eps}) if token else Head("classify")
    stem = Stem("patch", width, {"patch": rng.choice([2, 4]), "class_token": token})
    return Topology((rng.choice([1, 3]), 8, 8), stem, blocks, head, 3)


def _vector(rng: random.Random, length: int) -> Topology:
    blocks = tuple(_block(rng, number, rng.choice(["linear", "identity"])) for number in range(1, length + 1))
    stem = rng.choice([Stem("linear", rng.choice(WIDTHS)), Stem("linear", 8, {"activation": "tanh"}), Stem("flatten")])
    input: Any = rng.choice([(5,), (1, 4, 4)])
    if len(input) == 1 and rng.random() < 0.3:
        stem = Stem("identity")
    return Topology(input, stem, blocks, Head("classify"), 3)


def _block(rng: random.Random, number: int, name: str) -> Block:
    op = OPS[name]
    options: dict[str, Any] = {}
    for key, option in op.options.items():
        if rng.random() < 0.5:
            continue
        if option.choices:
            options[key] = rng.choice(option.choices)
        elif isinstance(option.default, bool):
            options[key] = rng.random() < 0.5
        elif isinstance(option.default, int):
            options[key] = rng.choice([value for value in (1, 2, 3, 4, 5) if option.low <= value <= option.high])
    if "kernel" in options and op.options["kernel"].odd:
        options["kernel"] |= 1
    width = None if op.keeps_width else rng.choice([None, *WIDTHS])
    stride = rng.choice([1, 1, 2]) if op.strided and "image" in op.layouts else 1
    return Block(name, width, stride, _skip(rng, number), options)


def _skip(rng: random.Random, number: int) -> Skip | None:
    if rng.random() < 0.25:
        return None
    source = rng.randrange(number) if rng.random() < 0.5 else None
    return Skip(rng.choice(JOINS), source, rng.choice(SHORTCUTS))
