"""The optimisers, each in one fused kernel that reads its learning rate from a tensor, and the schedule of that rate.

torch.optim's updates, to the bit. Its classes would import torch's compiler, which costs every process of a search
four seconds. Norms and biases (1-D) do not decay (He et al. 2019, arXiv:1812.01187).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

START, END = 1 / 25, 1 / 250_000  # the schedule's first and last learning rate, as shares of its peak


class Sgd:
    """v ← μv + g + λw, w ← w − lr·(g + λw + μv): SGD with Nesterov momentum."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._momentum = recipe.momentum
        self._groups = [
            (group, [torch.zeros_like(p) for p in group] if recipe.momentum else [], decay)
            for group, decay in _groups(network, recipe.weight_decay)
        ]

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """One update with the learning rate `rate` (), read on the device; lets go of the gradients."""
        for parameters, velocities, decay in self._groups:
            torch._fused_sgd_(
                parameters,
                _gradients(parameters),
                velocities,
                weight_decay=decay,
                momentum=self._momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self._momentum > 0,
                maximize=False,
                is_first_step=False,
            )
            _let_go(parameters)


class AdamW:
    """w ← w − lr·(λw + m̂ / (√v̂ + ε)): Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    m̂ and v̂ are the gradient's and its square's running means, the first with the recipe's momentum.
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

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """One update with the learning rate `rate` (), read on the device; lets go of the gradients."""
        for parameters, means, squares, steps, decay in self._groups:
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                parameters,
                _gradients(parameters),
                means,
                squares,
                [],
                steps,
                lr=rate,
                beta1=self._momentum,
                beta2=self.BETA2,
                weight_decay=decay,
                eps=self.EPS,
                amsgrad=False,
                maximize=False,
            )
            _let_go(parameters)


OPTIMISERS: dict[str, type[Sgd] | type[AdamW]] = {"sgd": Sgd, "adamw": AdamW}


def _groups(network: nn.Module, decay: float) -> list[tuple[list[Tensor], float]]:
    """Weights, which decay, and the others; without what is empty."""
    weights: list[Tensor] = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others: list[Tensor] = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [(group, share) for group, share in ((weights, decay), (others, 0.0)) if group]


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters]  # type: ignore[misc]  # every parameter has one by now


def _let_go(parameters: list[Tensor]) -> None:
    for p in parameters:
        p.grad = None


def one_cycle(recipe: Recipe, steps: int) -> Tensor:
    """The learning rate of every step (steps,): a cosine up to lr, then one down to nothing.

    Smith & Topin 2018 (arXiv:1708.07120), with torch's OneCycleLR's shape and constant momentum.
    """
    step = torch.arange(steps, dtype=torch.float64)
    top = max(recipe.warmup * steps - 1, 0.0)
    up = _cosine(START, 1.0, step / max(top, 1e-9))
    down = _cosine(1.0, END, (step - top) / max(steps - 1 - top, 1e-9))
    return (recipe.lr * torch.where(step < top, up, down)).float()


def _cosine(start: float, end: float, progress: Tensor) -> Tensor:
    return end + (start - end) * (1 + torch.cos(math.pi * progress)) / 2
