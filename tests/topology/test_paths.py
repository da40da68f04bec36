"""Paths from the stem to the head, against walking every one of them."""

from __future__ import annotations

import itertools
import math
import random
import time

import pytest

from nas.space import SearchSpace
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.paths import describe


class Dice:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def suggest_categorical(self, name: str, choices: list) -> object:
        return self.rng.choice(choices)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self.rng.randint(low, high)


def lengths(topology: Topology, node: int) -> list[int]:
    """Of every path from the stem to the node, one by one."""
    if node == 0:
        return [0]
    wire = topology.wiring.wires[node - 1]
    through = [length + (not wire.vanishes) for length in lengths(topology, node - 1)]
    return through + [length for bypass in wire.bypasses for length in lengths(topology, bypass.source)]


@pytest.mark.parametrize("seed", range(8))
def test_against_every_single_path(seed: int) -> None:
    topology = SearchSpace.load("digits").sample(Dice(seed))
    walked, said = lengths(topology, len(topology)), describe(topology)
    assert said["log_paths"] == pytest.approx(math.log2(len(walked)))
    assert said["mean_path"] == pytest.approx(sum(walked) / len(walked))
    assert (said["shortest_path"], said["longest_path"]) == (min(walked), max(walked))
    kinds = [skip.kind for block in topology.blocks for skip in block.skips]
    assert said["skips"] == len(kinds)
    assert [said[kind] for kind in ("add", "concat", "gate", "mul")] == [
        kinds.count(kind) for kind in ("add", "concat", "gate", "mul")
    ]


def test_a_residual_network_is_an_ensemble() -> None:
    """2ⁿ paths, binomially long (Veit et al. 2016)."""
    said = describe(references.resnet(18))
    assert (said["log_paths"], said["shortest_path"], said["mean_path"], said["longest_path"]) == (8, 0, 4, 8)
    assert (said["long_skips"], said["mean_span"]) == (0, 1)


def test_what_does_nothing_is_no_step() -> None:
    blocks = (Block("basic"), Block("identity"), Block("basic", skips=Skip("add", source=0)))
    said = describe(Topology((1, 8, 8), Stem("conv3x3", 4), blocks, Head("classify"), 10))
    assert (said["log_paths"], said["longest_path"], said["mean_span"]) == (1, 2, 3)


def test_deep_networks_do_not_overflow_and_it_is_fast() -> None:
    blocks = tuple(Block("basic", skips=Skip("add")) for _ in range(1200))
    deep = Topology((1, 8, 8), Stem("conv3x3", 4), blocks, Head("classify"), 10)
    assert (describe(deep)["log_paths"], describe(deep)["mean_path"]) == (1200, 600)
    topology = SearchSpace.load("digits").sample(Dice(0))
    began = time.process_time()
    for _ in itertools.repeat(None, 50):
        describe(topology)
    assert (time.process_time() - began) / 50 < 2e-4
