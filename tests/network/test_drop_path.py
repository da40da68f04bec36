"""Stochastic depth: residual branches are left out at random, and only while a network is trained."""

from __future__ import annotations

import pytest
import torch

from nas.network import build
from nas.network.network import set_drop_path
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Skip, Stem


def chances(topology: Topology, rate: float) -> list[float]:
    network = build(topology)
    set_drop_path(network, rate)
    return [block.drop_path for block in network.blocks]


def test_the_chance_grows_linearly_and_other_branches_are_kept() -> None:
    assert chances(references.resnet(20), 0.4) == pytest.approx([0.4 * n / 8 for n in range(9)])
    assert chances(references.plain(20), 0.4) == chances(references.densenet(40, 12), 0.4)[:9] == [0.0] * 9


def test_a_sample_has_the_whole_branch_or_none_of_it_and_the_mean_stays() -> None:
    topology = Topology((3, 4, 4), Stem("conv3x3", 4), (Block("conv", 4, skips=Skip("add")),) * 2, Head("classify"), 3)
    block = build(topology).blocks[1]
    block.drop_path = 0.25
    x = torch.randn(4000, 4, 4, 4)
    with torch.no_grad():
        branch = block.train()(x, x) - x
        whole = block.transform(x)
    dropped = branch.flatten(1).eq(0).all(1)
    torch.testing.assert_close(branch[~dropped], whole[~dropped] / 0.75)
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.03)
    block.eval()
    with torch.no_grad():
        torch.testing.assert_close(block(x[:4], x[:4]), block.transform(x[:4]) + x[:4])
