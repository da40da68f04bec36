"""The loss around trained weights: its surface along two directions, and its sharpness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.diagnosis.flow import Loss

REACH, STEPS = 1.0, 15  # of the grid: from −REACH to REACH, in so many steps
ROUNDS, PRECISE = 30, 1e-3  # of the power iteration


@dataclass(frozen=True)
class Surface:
    """The loss at w + x·d₁ + y·d₂; losses[y][x] for x and y in `steps`, infinite values as None."""

    steps: list[float]
    losses: list[list[float | None]]


@torch.no_grad()
def surface(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, seed: int = 0) -> Surface:
    """Return the loss of a batch along two random directions of filter-normalised length (Li et al. 2018).

    Each filter of a direction is as long as the filter of the network; biases and norms stay as they are. So the
    surfaces of two networks have the same scale.
    """
    generator = torch.Generator().manual_seed(seed)
    network.eval()
    weights = [one for one in network.parameters() if one.ndim > 1]
    trained = [one.clone() for one in weights]
    across, up = ([_direction(one, generator) for one in trained] for _ in range(2))
    steps = torch.linspace(-REACH, REACH, STEPS).tolist()
    losses = []
    for y in steps:
        row: list[float | None] = []
        for x in steps:
            for weight, start, first, second in zip(weights, trained, across, up, strict=True):
                weight.copy_(start + x * first + y * second)
            value = float(loss(network(inputs).float(), targets))
            row.append(value if value < float("inf") else None)
        losses.append(row)
    for weight, start in zip(weights, trained, strict=True):
        weight.copy_(start)
    return Surface(steps, losses)


def _direction(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random direction, each filter of which is as long as that of the weight."""
    drawn: Tensor = torch.randn(weight.shape, generator=generator).to(weight)
    length: Tensor = weight.flatten(1).norm(dim=1) / drawn.flatten(1).norm(dim=1).clamp_min(1e-12)
    return drawn.mul(length.view(-1, *[1] * (weight.ndim - 1)))


def sharpness(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, seed: int = 0) -> float:
    """Return the eigenvalue of the Hessian of the loss of a batch that is largest in size, by power iteration."""
    network.eval()
    weights = [one for one in network.parameters() if one.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(one.shape, generator=generator).to(one) for one in weights]
    value = 0.0
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # other kernels of attention have no second derivative
        error = loss(network(inputs).float(), targets)
        slopes = torch.autograd.grad(error, weights, create_graph=True)
        for found in _rounds(slopes, weights, vector):
            if abs(found - value) <= PRECISE * abs(found):
                return found
            value = found
    return value


def _rounds(slopes: tuple[Tensor, ...], weights: Sequence[Tensor], vector: list[Tensor]) -> Iterator[float]:
    """Yield the Rayleigh quotient after every multiplication of the vector by the Hessian."""
    for _ in range(ROUNDS):
        norm = torch.stack([one.square().sum() for one in vector]).sum().sqrt().clamp_min(1e-30)
        vector = [one / norm for one in vector]
        product = torch.autograd.grad(slopes, weights, vector, retain_graph=True, allow_unused=True)
        after = [torch.zeros_like(old) if new is None else new for old, new in zip(vector, product, strict=True)]
        yield float(torch.stack([(a * b).sum() for a, b in zip(vector, after, strict=True)]).sum())
        vector = after
