"""Losses and metrics, computed on the device without making the host wait.

A metric is a function of a sum over samples: batches add up exactly, and the host reads one small tensor an epoch.
Outputs are (B, C), for images (B, C, H, W) with the classes second, for sequences (B, T, C) with the classes last.
Targets of UNLABELLED are left out.
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
    """A metric as two functions: its value is value(Σ count(outputs, targets)), the sum taken over the batches.

    count  returns a float64 tensor (k,) on the device
    value  computes the metric from the k sums
    """

    count: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[list[float]], float]


# -------------------------------------------------------------------------------------------------------------- losses


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean of −log softmax(outputs)[target] over all labelled samples, pixels or tokens.

    Targets (B, ...) are class numbers. `label_smoothing` is the share of the target spread over all classes.
    """
    outputs = outputs.flatten(0, 1) if outputs.ndim == 3 else outputs
    targets = targets.flatten() if outputs.ndim == 2 else targets
    return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing, ignore_index=UNLABELLED)


def squared_error(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean of (outputs − targets)².

    Targets are (B,) or have the shape of the outputs. `label_smoothing` has no effect.
    """
    return F.mse_loss(outputs.reshape(targets.shape), targets)


LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy, "squared_error": squared_error}


# ------------------------------------------------------------------------------------------------------------- metrics


def _count_correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return (correct predictions, labelled targets)."""
    correct = outputs.argmax(-1 if outputs.ndim == 3 else 1) == targets
    return torch.stack((correct.sum(dtype=torch.float64), (targets != UNLABELLED).sum(dtype=torch.float64)))


def _count_overlaps(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return (intersection for each class …, union for each class …) of prediction and target, in pixels."""
    classes = torch.arange(outputs.shape[1], device=outputs.device)
    pixels = targets.flatten()[:, None]
    predicted = (outputs.argmax(1).flatten()[:, None] == classes) & (pixels != UNLABELLED)  # (pixels, C)
    true = pixels == classes
    both, either = (predicted & true).sum(0, dtype=torch.float64), (predicted | true).sum(0, dtype=torch.float64)
    return torch.cat((both, either))


def _mean_iou(total: list[float]) -> float:
    """Return the mean of intersection / union over the classes present or predicted (Everingham et al. 2010)."""
    half = len(total) // 2
    shares = [a / b for a, b in zip(total[:half], total[half:], strict=True) if b]
    return sum(shares) / len(shares) if shares else math.nan


def _sum_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return (Σ (ŷ − y)², Σ y, Σ y², how many numbers)."""
    y = targets.double()
    error = (outputs.reshape(targets.shape).double() - y).square().sum()
    return torch.stack((error, y.sum(), y.square().sum(), torch.full_like(error, targets.numel())))


def _r2(total: list[float]) -> float:
    """Return 1 − Σ (ŷ − y)² / Σ (y − ȳ)²."""
    error, y, square, n = total
    spread = square - y * y / n
    return 1 - error / spread if spread > 0 else math.nan


def _sum_nats(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return (−Σ log p(target) in nats, how many targets)."""
    nats = cross_entropy(outputs, targets).double() * targets.numel()
    return torch.stack((nats, torch.full_like(nats, targets.numel())))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_count_correct, lambda total: total[0] / total[1]),
    "mean_iou": Metric(_count_overlaps, _mean_iou),
    "r2": Metric(_sum_squares, _r2),
    "rmse": Metric(_sum_squares, lambda total: math.sqrt(total[0] / total[3])),
    "bits_per_byte": Metric(_sum_nats, lambda total: total[0] / total[1] / math.log(2)),
}
