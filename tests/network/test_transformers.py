"""Transformers with newer skips against their formulas, and against the network that they are at their start."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from nas.cost import measure
from nas.network import Network, build
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Scale, Skip, Stem
from nas.topology.topology import auto_scale
from nas.topology.transformers import averaged, layer

TOKENS = torch.randint(0, 11, (2, 8), generator=torch.Generator().manual_seed(0))


def model(blocks: Iterable[Block]) -> Topology:
    return Topology((8,), Stem("token", 16, {"vocabulary": 11}), tuple(blocks), Head("language_model"), 11)


def built(blocks: Iterable[Block]) -> Network:
    torch.manual_seed(0)
    return build(model(blocks)).double().eval()


@torch.no_grad()
def test_a_denseformer_starts_as_the_transformer_itself() -> None:
    plain, dense = built(layer(16, 2) * 4), built(averaged(layer(16, 2), 4, "mix"))
    assert torch.equal(plain(TOKENS), dense(TOKENS))


@torch.no_grad()
@pytest.mark.parametrize("period", [1, 2])
def test_a_denseformer_averages_the_outputs_of_all_layers(period: int) -> None:
    """Y_i = Σ α_ij X_j over the outputs of layers, not over the means (equation 2 of the paper)."""
    network = built(averaged(layer(16, 2), 4, "mix", period))
    means = [block for block in network.blocks if block.join is not None and type(block.join).__name__ == "Mix"]
    for mean in means:
        mean.join.weight.copy_(torch.randn(len(mean.join.weight)))
    layers = [block for block in network.blocks if block not in means]
    y = network.stem(TOKENS)
    outputs, at = [y], iter(means)
    for number in range(4):
        for block in layers[2 * number : 2 * number + 2]:
            y = block(y, y)
        outputs.append(y)
        if (number + 1) % period == 0:
            own, *others = next(at).join.weight.unbind()
            y = own * y + sum((w * x for w, x in zip(others, outputs[:-1], strict=True)), torch.zeros(()))
    torch.testing.assert_close(network(TOKENS), network.head(y))


@torch.no_grad()
def test_rezero_starts_as_the_embedding() -> None:
    network = built(layer(16, 2, {"norm": "none"}, branch=Scale("zero")) * 3)
    assert torch.equal(network.features(TOKENS), network.stem(TOKENS))


@torch.no_grad()
def test_deepnorm_is_its_formula() -> None:
    skip = Skip("add", scale=Scale("constant", {"value": "auto"}))
    network = built(layer(16, 2, {"norm": "post"}, skip) * 3)
    x: Tensor = network.stem(TOKENS)
    for block in network.blocks:
        x = block.after(auto_scale(6) * x + block.transform(x))
    torch.testing.assert_close(network.features(TOKENS), x)


@torch.no_grad()
def test_peri_norm_stands_on_both_sides_of_the_branch() -> None:
    network = built(layer(16, 2, {"norm": "peri"}))
    x = network.stem(TOKENS)
    for block in network.blocks:
        x = x + block.norm(block.transform(x))
    torch.testing.assert_close(network.features(TOKENS), x)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("denseformer", 12 * 15 // 2),  # 2 + 3 + … + 13 weights
        ("denseformer(small, 4)", 5 + 9 + 13),
        ("attention_residuals", 12 * 768),
        ("rezero_transformer", 24 - 24 * 2 * 768),  # a number for each branch, and no norms
        ("deepnorm_transformer", 0),
    ],
)
def test_parameters_are_those_of_gpt2_and_of_the_skips(name: str, more: int) -> None:
    assert measure(references.get(name)).params == 124_439_808 + more
