"""What the blocks of a trained network compute: alike or not, of use to a linear layer or not, and read by whom."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.diagnosis.flow import outputs_of
from nas.network import Network
from nas.topology import Topology

Floats = NDArray[np.float64]

PROBE_ROUNDS = 200


@torch.no_grad()
def features(network: Network, inputs: Tensor) -> list[Tensor]:
    """Return what the stem and every block give for the inputs, in evaluation mode."""
    network.eval()
    with outputs_of(network) as outputs:
        network(inputs)
    return [one.detach().float() for one in outputs]


def similarity(outputs: Sequence[Tensor]) -> list[list[float]]:
    """Return the linear centred kernel alignment of every two nodes (Kornblith et al. 2019): 1 if they give the same
    up to a rotation and a scale.
    """
    grams = []
    for one in outputs:
        flat = one.flatten(1).double()
        flat = flat - flat.mean(0)
        gram = flat @ flat.T
        grams.append(gram / gram.norm().clamp_min(1e-30))
    return [[float((a * b).sum()) for b in grams] for a in grams]


def probes(train: Sequence[Tensor], targets: Tensor, held: Sequence[Tensor], held_targets: Tensor) -> list[float]:
    """Return the accuracy of a linear classifier of the mean features of every node (Alain & Bengio 2016).

    It learns from the first outputs, in at most PROBE_ROUNDS iterations, and is measured on the second. Empty for a
    single class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found: list[float] = []
    if len(targets.unique()) < 2:
        return found
    for seen, unseen in zip(train, held, strict=True):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=PROBE_ROUNDS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(_pooled(seen), targets.cpu().numpy())
        found.append(float(classifier.score(_pooled(unseen), held_targets.cpu().numpy())))
    return found


def _pooled(output: Tensor) -> Floats:
    """Return one vector for each sample: the mean over pixels (B, C, H, W) or positions (B, T, C)."""
    over = {4: (2, 3), 3: (1,)}.get(output.ndim)
    return np.asarray((output if over is None else output.mean(over)).cpu().numpy(), np.float64)


@torch.no_grad()
def openness(network: Network, inputs: Tensor) -> dict[int, float]:
    """Return, for each block with a gate, the mean of T: the share of F in what the block gives."""
    network.eval()
    found: dict[int, float] = {}
    hooks = []
    for number, block in enumerate(network.blocks, 1):
        inner = getattr(block.join, "conv", None) or getattr(block.join, "linear", None)
        if isinstance(inner, nn.Module):
            hooks.append(inner.register_forward_hook(_keeping(found, number)))
    try:
        network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _keeping(found: dict[int, float], number: int) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        found[number] = float(torch.sigmoid(output.float()).mean())

    return keep


def reuse(network: Network) -> dict[int, dict[int, float]]:
    """Return, for each block that reads a concatenation, source node → mean |weight| of what it reads of it.

    It is that of the first layer of the block (Huang et al. 2017, figure 5).
    """
    found = {}
    made_of = _made_of(network.topology)
    for number, block in enumerate(network.blocks, 1):
        parts = made_of[number - 1]
        width = sum(channels for _, channels in parts)
        assert isinstance(block.transform, nn.Module)
        weight = next((own for one in block.transform.modules() if (own := _reading(one, width)) is not None), None)
        if len(parts) > 1 and weight is not None:
            each = weight.detach().float().abs().transpose(0, 1).flatten(1).mean(1).split([size for _, size in parts])
            found[number] = {source: float(some.mean()) for (source, _), some in zip(parts, each, strict=True)}
    return found


def _reading(module: nn.Module, width: int) -> Tensor | None:
    """Return the weight of a layer that reads so many channels; None for another module."""
    reads = isinstance(module, nn.Conv2d | nn.Linear) and module.weight.shape[1] == width
    return module.weight if isinstance(module, nn.Conv2d | nn.Linear) and reads else None


def _made_of(topology: Topology) -> list[list[tuple[int, int]]]:
    """Return, for each node, the nodes whose outputs its channels are, with the number of channels of each."""
    made_of = [[(0, topology.wiring.stem.width)]]
    for number, (block, wire) in enumerate(zip(topology.blocks, topology.wiring.wires, strict=True), 1):
        own = (number, wire.transformed.width)
        if block.skips and all(skip.kind == "concat" for skip in block.skips):  # each s stands before what was there
            sources = reversed(wire.bypasses)
            made_of.append([*(part for bypass in sources for part in made_of[bypass.source]), own])
        else:
            made_of.append([(number, wire.output.width)])
    return made_of
