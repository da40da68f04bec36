"""What may be said of a topology before it is trained: zero-cost proxies, each a number of which more is hoped to be
better. Whether it is shows their rank correlation with the final metric, which the report prints.

Networks are freshly initialised (always with the same seed) and see noise instead of data: inputs from N(0, 1), which
is what standardised data looks like, tokens and classes drawn uniformly. So a proxy needs no data set, and two
topologies with one wiring have one value. Float32; a value that is not finite is None in the record.

Milliseconds for a topology of 12 to 16 blocks on digits (one core, torch 2.15): log_paths and short_paths
0.02, params and flops 0.3 where its parts were priced before, synflow 20, jacobian 29, naswot 30, gradient_norm 39, of
which 10 build the network. Spearman's ρ with the accuracy of 184 trained ones, drawn uniformly: gradient_norm −0.20,
short_paths 0.19, log_paths 0.13, synflow −0.10, naswot 0.08, jacobian, params and flops 0.02 (95 %: ± 0.14): there,
none of them is of much use.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nas.cost import Cost, measure
from nas.network import Network, build
from nas.network.compat import TorchDispatchMode
from nas.network.onednn import safe_onednn
from nas.network.samples import sample_inputs
from nas.topology import Topology
from nas.topology.paths import describe
from nas.training.metrics import cross_entropy

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

BATCH = 32
JITTER = 1e-5  # k of the Jacobian score
aten = torch.ops.aten
NONLINEARITIES = {  # where a nonlinearity bends: the code is whether its input is above zero
    op.default
    for op in (aten.relu, aten.relu_, aten.hardtanh, aten.hardtanh_, aten.gelu, aten.tanh, aten.sigmoid, aten.silu)
}


class UntrainedCandidate:
    """A topology before training. Its cost, paths and network are computed when a proxy needs them."""

    def __init__(self, topology: Topology, recipe: Recipe | None = None) -> None:
        self.topology, self.recipe = topology, recipe
        self.random = torch.Generator().manual_seed(0)

    @functools.cached_property
    def cost(self) -> Cost:
        """The cost of the topology under the recipe."""
        return measure(self.topology, self.recipe)

    @functools.cached_property
    def paths(self) -> dict[str, float]:
        """The statistics of its paths (nas.topology.paths)."""
        return describe(self.topology)

    def network(self) -> Network:
        """Return a new network in training mode, always with the same weights; torch's random state is kept.

        A head that starts at 0, as ViT's, is drawn by torch here: else no gradient would reach what is before it.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build(self.topology)
            for layer in network.head.modules():
                if isinstance(layer, nn.Linear) and not layer.weight.any():
                    layer.reset_parameters()
            return network

    def noise(self, size: int = BATCH) -> Tensor:
        """Return a random batch (size, *input)."""
        return sample_inputs(self.topology, size, generator=self.random)


# ------------------------------------------------------------------------------------------------- without a network


def params(candidate: UntrainedCandidate) -> float:
    """Return the number of parameters, the baseline of all proxies (Ning et al. 2021, arXiv:2008.03064)."""
    return candidate.cost.params


def flops(candidate: UntrainedCandidate) -> float:
    """Return the multiply-adds of the forward pass of one sample."""
    return candidate.cost.flops


def log_paths(candidate: UntrainedCandidate) -> float:
    """Return log2 of the number of paths from the stem to the head (see nas.topology.paths)."""
    return candidate.paths["log_paths"]


def short_paths(candidate: UntrainedCandidate) -> float:
    """Return −(mean length of a path): gradients flow mainly through short paths (Veit et al. 2016)."""
    return -candidate.paths["mean_path"]


# ----------------------------------------------------------------------------------------------------- with a network


def gradient_norm(candidate: UntrainedCandidate) -> float:
    """Return ‖∂L/∂θ‖₂ (Abdelfattah et al. 2021, arXiv:2101.08134).

    L is the cross-entropy with random classes, or the mean square of a single output.
    """
    network = candidate.network()
    outputs = network(candidate.noise())
    weights = [*network.parameters()]
    with safe_onednn(network):
        gradients = torch.autograd.grad(_loss(outputs, candidate), weights, allow_unused=True, materialize_grads=True)
    return float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())


def naswot(candidate: UntrainedCandidate) -> float:
    """Return log |det K|, where K[a, b] counts the units with equal codes for samples a and b.

    The code of a unit says whether the input of its nonlinearity is positive (Mellor et al. 2021, arXiv:2006.04647).
    Units are those of every ReLU, GELU, tanh and sigmoid of a gate, not of a softmax. The result is −∞ if there are
    too few units to distinguish the samples.
    """
    with torch.no_grad(), _Codes() as codes:
        candidate.network()(candidate.noise())
    return float(torch.linalg.slogdet(codes.kernel).logabsdet)


def jacobian(candidate: UntrainedCandidate) -> float:
    """Return −Σ (log(λ + k) + 1/(λ + k)) over the eigenvalues λ of the correlations between ∂Σf(x)/∂x of the samples x.

    It is higher for less correlated samples (Mellor et al. 2020, arXiv:2006.04647v1). For tokens, the derivative is
    that with respect to the output of the stem.
    """
    network, x = candidate.network(), candidate.noise()
    seen = [x.requires_grad_()] if x.is_floating_point() else []
    if not seen:
        network.stem.register_forward_hook(lambda module, given, y: seen.append(y))
    with safe_onednn(network):
        (slopes,) = torch.autograd.grad(network(x).sum(), seen)
    values = torch.linalg.eigvalsh(torch.corrcoef(slopes.flatten(1)).double())
    return float(-((values + JITTER).log() + 1 / (values + JITTER)).sum())


def synflow(candidate: UntrainedCandidate) -> float:
    """Return log Σ |θ · ∂R/∂θ| over all weights, with R = Σ f(1; |θ|) (Tanaka et al. 2020, arXiv:2006.05467).

    The network is in evaluation mode, where a new batch norm is the identity, and has no layer norms. It is computed
    in float64, because the products over many layers are large.
    """
    network = candidate.network().double().eval()
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(module, name, nn.Identity())
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    inputs = candidate.noise(1)
    output = network(torch.ones_like(inputs, dtype=torch.float64) if inputs.is_floating_point() else inputs).sum()
    gradients = torch.autograd.grad(output, weights, allow_unused=True)
    parts = [
        (weight * slope).abs().sum() for weight, slope in zip(weights, gradients, strict=True) if slope is not None
    ]
    return float(torch.stack(parts).sum().log().detach())


PROXIES: dict[str, Callable[[UntrainedCandidate], float]] = {
    "params": params,
    "flops": flops,
    "log_paths": log_paths,
    "short_paths": short_paths,
    "gradient_norm": gradient_norm,
    "naswot": naswot,
    "jacobian": jacobian,
    "synflow": synflow,
}


def compute_proxies(
    topology: Topology, names: Iterable[str] = tuple(PROXIES), recipe: Recipe | None = None
) -> dict[str, float]:
    """Return name → value of these proxies; NaN where torch fails, for want of memory.

    recipe  the recipe of `measure`; with that of the search, the cost is not measured a second time

    Raises KeyError for an unknown name.
    """
    candidate = UntrainedCandidate(topology, recipe)
    return {name: _value(PROXIES[name], candidate) for name in names}


def _value(proxy: Callable[[UntrainedCandidate], float], candidate: UntrainedCandidate) -> float:
    try:
        return float(proxy(candidate))
    except (RuntimeError, MemoryError):
        return math.nan


class _Codes(TorchDispatchMode):
    """The sum of K over all nonlinearities that run while it is active: kernel (B, B)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernel = torch.zeros(())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in NONLINEARITIES:
            codes = (args[0] > 0).flatten(1).float()  # (B, units)
            self.kernel = self.kernel + codes @ codes.T + (1 - codes) @ (1 - codes).T
        return func(*args, **(kwargs or {}))


def _loss(outputs: Tensor, candidate: UntrainedCandidate) -> Tensor:
    classes = outputs.shape[-1 if outputs.ndim == 3 else 1]
    if classes == 1:
        return outputs.square().mean()
    places = outputs.shape[:-1] if outputs.ndim == 3 else (len(outputs), *outputs.shape[2:])
    return cross_entropy(outputs, torch.randint(classes, tuple(places), generator=candidate.random))
