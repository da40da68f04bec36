"""Losses and metrics, on the device and without leaving it.

A metric is a sum over samples and a function of that sum, so that batches add up exactly and the host reads one
small tensor an epoch. Outputs are (B, C), images (B, C, H, W) with the classes second, sequences (B, T, C) with the
classes last. A target of UNLABELLED is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.tasks.splits import UNLABELLED


@dataclass(frozen=True)
class Metric:
    """value(Σ count(outputs, targets)): `count` gives a tensor (k,) on the device, `value` reads their sum."""

    count: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[list[float]], float]


# -------------------------------------------------------------------------------------------------------------- losses


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """−log softmax(outputs)[target], mean over all places; targets (B, ...) are class numbers."""
    outputs = outputs.flatten(0, 1) if outputs.ndim == 3 else outputs
    targets = targets.flatten() if outputs.ndim == 2 else targets
    return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing, ignore_index=UNLABELLED)


def squared_error(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(outputs − targets)², mean over all; targets (B,) or of the shape of the outputs. Nothing is smoothed."""
    return F.mse_loss(outputs.reshape(targets.shape), targets)


LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy, "squared_error": squared_error}


# ------------------------------------------------------------------------------------------------------------- metrics


def _hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """(right answers, answers)"""
    right = outputs.argmax(-1 if outputs.ndim == 3 else 1) == targets
    return torch.stack((right.sum(dtype=torch.float64), (targets != UNLABELLED).sum(dtype=torch.float64)))


def _overlaps(outputs: Tensor, targets: Tensor) -> Tensor:
    """(intersection of each class …, union of each class …) in places"""
    classes = torch.arange(outputs.shape[1], device=outputs.device)
    places = targets.flatten()[:, None]
    said = (outputs.argmax(1).flatten()[:, None] == classes) & (places != UNLABELLED)  # (places, C)
    true = places == classes
    return torch.cat(((said & true).sum(0, dtype=torch.float64), (said | true).sum(0, dtype=torch.float64)))


def _mean_iou(total: list[float]) -> float:
    """Mean of intersection / union over the classes that are there or were said to be (Everingham et al. 2010)."""
    half = len(total) // 2
    shares = [a / b for a, b in zip(total[:half], total[half:], strict=True) if b]
    return sum(shares) / len(shares) if shares else math.nan


def _squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """(Σ (ŷ − y)², Σ y, Σ y², numbers)"""
    y = targets.double()
    error = (outputs.reshape(targets.shape).double() - y).square().sum()
    return torch.stack((error, y.sum(), y.square().sum(), torch.full_like(error, targets.numel())))


def _r2(total: list[float]) -> float:
    """1 − Σ (ŷ − y)² / Σ (y − ȳ)²"""
    error, y, square, n = total
    spread = square - y * y / n
    return 1 - error / spread if spread > 0 else math.nan


def _nats(outputs: Tensor, targets: Tensor) -> Tensor:
    """(−Σ log p(target), targets)"""
    nats = cross_entropy(outputs, targets).double() * targets.numel()
    return torch.stack((nats, torch.full_like(nats, targets.numel())))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_hits, lambda total: total[0] / total[1]),
    "mean_iou": Metric(_overlaps, _mean_iou),
    "r2": Metric(_squares, _r2),
    "rmse": Metric(_squares, lambda total: math.sqrt(total[0] / total[3])),
    "bits_per_byte": Metric(_nats, lambda total: total[0] / total[1] / math.log(2)),
}
