"""`memory: lean` against the same network that keeps everything."""

from __future__ import annotations

import gc
import random

import pytest
import torch
from torch import Tensor, nn

from nas import tasks
from nas.cost.probe import CostTracker, channels_last
from nas.network import Network, build
from nas.network.compat import FakeTensorMode
from nas.network.lean import make_lean
from nas.network.network import construct
from nas.network.onednn import safe_onednn
from nas.network.plans import Call
from nas.tasks.recipe import Recipe
from nas.topology import Topology, references
from nas.training.evaluate import Evaluator
from tests.cost.test_cost import DIGITS, NETWORKS, batch, cross_entropy
from tests.helpers.topologies import random_topology

SMALL = [name for name in NETWORKS if name not in ("unet", "vit", "gpt2")]


def inputs_of(topology: Topology, size: int = 4) -> Tensor:
    inputs = batch(topology, size)
    return torch.randn(inputs.shape).to(inputs) if inputs.is_floating_point() else inputs


def step(topology: Topology, inputs: Tensor, *, precision: str, memory: str) -> tuple[Tensor, list[Tensor], nn.Module]:
    """Outputs, gradients and the network after one step."""
    torch.manual_seed(0)
    network = build(topology)
    if inputs.ndim == 4:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if memory == "lean":
        make_lean(network)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
        outputs = network(inputs)
    with safe_onednn(network):
        cross_entropy(outputs, 0.1).backward()
    return outputs.detach(), [p.grad for p in network.parameters() if p.grad is not None], network


def check_equal(topology: Topology, *, precision: str = "float32", tolerance: float = 1e-4) -> None:
    inputs = inputs_of(topology)
    plain, gradients, network = step(topology, inputs, precision=precision, memory="plain")
    outputs, lean_gradients, other = step(topology, inputs, precision=precision, memory="lean")
    assert torch.equal(outputs, plain)
    for (name, buffer), (_, same) in zip(network.named_buffers(), other.named_buffers(), strict=True):
        assert torch.equal(buffer, same), name  # running means have moved once
    scale = max(float(gradient.abs().max()) for gradient in gradients)
    for gradient, again in zip(gradients, lean_gradients, strict=True):
        assert torch.allclose(again, gradient, rtol=tolerance, atol=tolerance * scale), topology


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", SMALL)
def test_the_function_and_its_gradients_are_the_same(name: str, precision: str) -> None:
    # in bfloat16 a value that is computed again may be rounded the other way
    check_equal(NETWORKS[name], precision=precision, tolerance=1e-4 if precision == "float32" else 2e-2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_of_the_input_does_not_matter(layout: torch.memory_format) -> None:
    """A layer norm gives contiguous rows whatever it reads; computed again, it has the layout of what it reads."""
    inputs = torch.randn(2, 4, 8, 8).contiguous(memory_format=layout)
    gradients = []
    for memory in ("plain", "lean"):
        torch.manual_seed(0)
        block = construct(Call("ConvNeXt", (4, 4)))
        if memory == "lean":
            make_lean(block)
        block(inputs).square().sum().backward()
        gradients.append([p.grad for p in block.parameters()])
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))  # type: ignore[arg-type]


def test_any_topology_has_the_same_gradients() -> None:
    rng = random.Random(3)
    for _ in range(40):
        check_equal(random_topology(rng))


def kept(topology: Topology, memory: str, size: int = 32) -> int:
    """Bytes between forward and backward, weights and the batch apart."""
    with FakeTensorMode():
        network = channels_last(build(topology))
        if memory == "lean":
            make_lean(network)
        inputs = batch(topology, size)
        with CostTracker([*network.parameters(), *network.buffers(), inputs]) as tracker:
            outputs = network(inputs)
            return tracker.live - outputs.nbytes


@pytest.mark.parametrize(
    ("name", "most"), [("densenet121", 0.53), ("resnet18", 0.73), ("vit_b_16", 0.64), ("efficientnet_b0", 0.47)]
)
def test_it_keeps_less(name: str, most: float) -> None:
    topology = references.get(name)
    assert kept(topology, "lean", 2) <= most * kept(topology, "plain", 2)


def test_nothing_outlives_its_graph() -> None:
    """A node that is held by what it saved itself would be freed by nobody."""
    topology = NETWORKS["densenet"]
    network, inputs = build(topology), inputs_of(topology)
    make_lean(network)
    gc.disable()
    try:
        with CostTracker([*network.parameters(), *network.buffers(), inputs]) as tracker:
            outputs = network(inputs)
            assert tracker.live > 10 * outputs.nbytes
            del outputs
            assert tracker.live == 0
            cross_entropy(network(inputs), 0.1).backward()
            gradients = sum(p.grad.nbytes for p in network.parameters() if p.grad is not None)
            assert tracker.live == gradients
    finally:
        gc.enable()


def test_a_recipe_asks_for_it() -> None:
    curves = []
    for memory in ("plain", "lean"):
        recipe = Recipe.model_validate({"epochs": 2, "batch_size": 256, "memory": memory})
        result = Evaluator(tasks.get("digits"), recipe).evaluate(references.resnet(8, **DIGITS), seed=0)
        curves.append(result.curve)
        assert isinstance(result.network, Network)
        assert all(bool(part._forward_pre_hooks) == (memory == "lean") for part in result.network.parts)
    for plain, again in zip(*curves, strict=True):
        assert again["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-2)
