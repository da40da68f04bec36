"""Zero-cost proxies against closed forms and against what their definitions give by another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from nas.cost import measure
from nas.cost.proxies import PROXIES, UntrainedCandidate, compute_proxies
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.paths import describe

PLAIN = Topology((1, 8, 8), Stem("conv3x3", 4), (Block("conv", 6), Block("conv", 6)), Head("classify"), 10)
SKIPPED = Topology(
    (1, 8, 8),
    Stem("conv3x3", 4),
    (Block("basic", skips=Skip("gate")), Block("mbconv", 6, skips=Skip("concat", 0))),
    Head("classify"),
    10,
)
UNET = (
    Block("double_conv", 4),
    Block("maxpool", stride=2),
    Block("double_conv", 8),
    Block("upconv", 4, skips=Skip("concat", 1)),
)
ATTENTION = (Block("attention", skips=Skip("add"), options={"heads": 2}), Block("feed_forward", skips=Skip("add")))
KINDS = {
    "segmentation": Topology((1, 8, 8), Stem("conv3x3", 4), UNET, Head("conv1x1"), 2),
    "images in patches": Topology((1, 8, 8), Stem("patch", 8, {"patch": 4}), ATTENTION, Head("class_token"), 10),
    "tokens": Topology((8,), Stem("token", 8, {"vocabulary": 50}), ATTENTION, Head("language_model"), 50),
    "regression": Topology((6,), Stem("linear", 64), (Block("linear", skips=Skip("mul")),), Head("classify"), 1),
    "convnext": Topology((1, 8, 8), Stem("conv3x3", 4), (Block("convnext", 8),), Head("norm_classify"), 10),
}


def test_those_that_need_no_network() -> None:
    cost, paths = measure(SKIPPED), describe(SKIPPED)
    assert compute_proxies(SKIPPED, ["params", "flops", "log_paths", "short_paths"]) == {
        "params": cost.params,
        "flops": cost.flops,
        "log_paths": paths["log_paths"],
        "short_paths": -paths["mean_path"],
    }


def test_synflow_is_conserved() -> None:
    """In a chain every layer has the same Σ θ·∂R/∂θ, which is R without the last bias (Tanaka et al. 2020)."""
    network = UntrainedCandidate(PLAIN).network().double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
        bias = sum(module.bias.sum() for module in network.modules() if isinstance(module, nn.Linear))
        flow = network(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum() - bias
    layers = 4
    assert compute_proxies(PLAIN, ["synflow"])["synflow"] == pytest.approx(math.log(layers * float(flow)))


@pytest.mark.parametrize("topology", [PLAIN, SKIPPED], ids=["plain", "skipped"])
def test_naswot_against_counting_equal_codes(topology: Topology) -> None:
    candidate = UntrainedCandidate(topology)
    network, inputs = candidate.network(), candidate.noise()
    seen: list[torch.Tensor] = []

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func in (torch.relu, nn.functional.relu, torch.relu_, torch.sigmoid, nn.functional.relu6):
                seen.append(args[0].detach().clone().flatten(1) > 0)
            return func(*args, **(kwargs or {}))

    with Spy(), torch.no_grad():
        network(inputs)
    codes = torch.cat(seen, 1).numpy()
    kernel = (codes[:, None] == codes[None]).sum(-1).astype(float)
    assert codes.shape[1] > 100
    assert compute_proxies(topology, ["naswot"])["naswot"] == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-4)


def test_the_gradient_against_a_step_along_it() -> None:
    """L(θ + εg/‖g‖) − L(θ − εg/‖g‖) = 2ε‖g‖ to first order."""
    norm = compute_proxies(PLAIN, ["gradient_norm"])["gradient_norm"]
    candidate = UntrainedCandidate(PLAIN)
    network, inputs = candidate.network(), candidate.noise()
    targets = torch.randint(10, (len(inputs),), generator=candidate.random)
    network, inputs = network.double(), inputs.double()
    weights = [*network.parameters()]
    gradients = torch.autograd.grad(nn.functional.cross_entropy(network(inputs), targets), weights)
    losses = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            for weight, gradient in zip(weights, gradients, strict=True):
                weight += step * gradient / norm
            losses.append(float(nn.functional.cross_entropy(network(inputs), targets)))
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(norm, rel=1e-3)


def test_the_jacobian_score_of_unrelated_and_of_equal_slopes() -> None:
    score = compute_proxies(PLAIN, ["jacobian"])["jacobian"]
    size = len(UntrainedCandidate(PLAIN).noise())
    assert score < -size * (math.log(1 + 1e-5) + 1 / (1 + 1e-5))  # the value of the identity is the largest
    stem = Stem("linear", 1, {"activation": "tanh"})
    single = Topology((64,), stem, (), Head("classify"), 10)  # one unit: the slopes of all samples are parallel
    assert compute_proxies(single, ["jacobian"])["jacobian"] < 100 * score


def test_they_are_repeatable_and_touch_no_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = compute_proxies(SKIPPED)
    assert torch.equal(torch.rand(1), expected)
    assert compute_proxies(SKIPPED) == first
    assert set(first) == set(PROXIES)


@pytest.mark.parametrize("topology", KINDS.values(), ids=KINDS)
def test_every_kind_of_network_has_them(topology: Topology) -> None:
    assert all(math.isfinite(value) for value in compute_proxies(topology).values())


def test_what_fails_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(candidate: UntrainedCandidate) -> float:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setitem(PROXIES, "naswot", out_of_memory)
    assert math.isnan(compute_proxies(PLAIN, ["naswot"])["naswot"])
