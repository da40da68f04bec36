"""The scale of activations and gradients, node by node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.network import Network

Loss = Callable[[Tensor, Tensor], Tensor]  # outputs, targets → a scalar


@dataclass(frozen=True)
class Flow:
    """The scales at one moment, of the stem (node 0) and of every block.

    activations  the root mean square of what the node gives
    gradients    the norm of the gradient of the loss with respect to the weights of the node; 0 without weights
    """

    activations: list[float]
    gradients: list[float]


def flow(network: Network, inputs: Tensor, targets: Tensor, loss: Loss) -> Flow:
    """Return the scales of one batch, in training mode; weights, gradients and statistics are left as they were."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    mode = network.training
    network.train()
    with outputs_of(network) as outputs:
        error = loss(network(inputs).float(), targets)
    weights = [[one for one in part.parameters() if one.requires_grad] for part in network.parts[:-1]]
    found = torch.autograd.grad(error, [one for some in weights for one in some], allow_unused=True)
    gradients = iter(found)
    norms = []
    for some in weights:
        squares = [gradient.square().sum() for _ in some if (gradient := next(gradients)) is not None]
        norms.append(float(torch.stack(squares).sum().sqrt()) if squares else 0.0)
    network.train(mode)
    with torch.no_grad():
        for name, value in network.named_buffers():
            value.copy_(buffers[name])
    return Flow([float(one.detach().float().square().mean().sqrt()) for one in outputs], norms)


@contextlib.contextmanager
def outputs_of(network: Network) -> Iterator[list[Tensor]]:
    """Collect what the stem and every block give in the passes that are made inside."""
    collected: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        collected.append(output)

    hooks = [part.register_forward_hook(keep) for part in network.parts[:-1]]
    try:
        yield collected
    finally:
        for hook in hooks:
            hook.remove()
