"""The optimisers, each in one fused kernel that reads its learning rate from a tensor, and the schedule of that rate.

The updates are those of torch.optim's functions `sgd` and `adamw`, which its classes call too. The classes themselves
import torch's compiler when they are first used (`torch._dynamo`), which costs every process of a search four seconds.
Norms and biases (1-D) do not decay (He et al. 2019, arXiv:1812.01187).

An optimiser is made when the parameters have the memory format in which they are trained: CUDA's fused kernels refuse
a parameter whose gradient or momentum has other strides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

START, END = 1 / 25, 1 / 250_000  # the schedule's first and last learning rate, as shares of its peak


class Sgd:
    """SGD with Nesterov momentum: v ← μv + g + λw, w ← w − lr·(g + λw + μv)."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._momentum = recipe.momentum
        self._groups = [
            (group, [torch.zeros_like(p) if recipe.momentum else None for p in group], decay)
            for group, decay in _groups(network, recipe.weight_decay)
        ]

    def tensors(self) -> list[Tensor]:
        """Return the momenta, which the steps update in place."""
        return [tensor for _, velocities, _ in self._groups for tensor in velocities if tensor is not None]

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """Update the weights with the learning rate `rate` (), which the device reads, and drop the gradients."""
        for parameters, velocities, decay in self._groups:
            sgd(
                parameters,
                _gradients(parameters),
                velocities,
                fused=True,
                weight_decay=decay,
                momentum=self._momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self._momentum > 0,
                maximize=False,
            )
            _drop_gradients(parameters)


class AdamW:
    """Adam with decoupled weight decay: w ← w − lr·(λw + m̂ / (√v̂ + ε)).

    m̂ and v̂ are the bias-corrected running means of the gradient and of its square; the recipe's momentum is the
    decay rate β₁ of the first one (Loshchilov & Hutter 2019, arXiv:1711.05101).
    """

    BETA2, EPS = 0.99, 1e-8

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._momentum = recipe.momentum
        self._groups = [
            (
                group,
                [torch.zeros_like(p) for p in group],
                [torch.zeros_like(p) for p in group],
                [torch.zeros((), device=p.device) for p in group],
                decay,
            )
            for group, decay in _groups(network, recipe.weight_decay)
        ]

    def tensors(self) -> list[Tensor]:
        """Return the running means and the numbers of steps, which the steps update in place."""
        return [tensor for _, *lists, _ in self._groups for tensors in lists for tensor in tensors]

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """Update the weights with the learning rate `rate` (), which the device reads, and drop the gradients."""
        for parameters, means, squares, steps, decay in self._groups:
            adamw(
                parameters,
                _gradients(parameters),
                means,
                squares,
                [],
                steps,
                fused=True,
                lr=rate,
                beta1=self._momentum,
                beta2=self.BETA2,
                weight_decay=decay,
                eps=self.EPS,
                amsgrad=False,
                maximize=False,
            )
            _drop_gradients(parameters)


OPTIMISERS: dict[str, type[Sgd] | type[AdamW]] = {"sgd": Sgd, "adamw": AdamW}


def _groups(network: nn.Module, decay: float) -> list[tuple[list[Tensor], float]]:
    """Return (parameters, weight decay) of the weights, which decay, and of the others; an empty group is left out."""
    weights: list[Tensor] = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others: list[Tensor] = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [(group, share) for group, share in ((weights, decay), (others, 0.0)) if group]


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters]  # type: ignore[misc]  # the backward pass has given every parameter one


def _drop_gradients(parameters: list[Tensor]) -> None:
    for p in parameters:
        p.grad = None


def one_cycle(recipe: Recipe, steps: int) -> Tensor:
    """Return the learning rate of every step (steps,): it follows a cosine up to the recipe's lr, then one down to ~0.

    The one-cycle policy of Smith & Topin 2018 (arXiv:1708.07120), in the shape of torch's OneCycleLR with constant
    momentum.
    """
    step = torch.arange(steps, dtype=torch.float64)
    top = max(recipe.warmup * steps - 1, 0.0)
    up = _cosine(START, 1.0, step / max(top, 1e-9))
    down = _cosine(1.0, END, (step - top) / max(steps - 1 - top, 1e-9))
    return (recipe.lr * torch.where(step < top, up, down)).float()


def _cosine(start: float, end: float, progress: Tensor) -> Tensor:
    return end + (start - end) * (1 + torch.cos(math.pi * progress)) / 2
