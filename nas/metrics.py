"""Losses and metrics, on the device and without leaving it.

A metric is a sum over samples and a function of that sum, so that batches add up exactly and the host reads one
small tensor an epoch: correct answers and answers, later a confusion matrix or squared errors and squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """value(Σ count(outputs, targets)): `count` gives a tensor (k,) on the device, `value` reads their sum."""

    count: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[list[float]], float]


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """−log softmax(outputs)[target], mean over (B, ...); outputs (B, C, ...), targets (B, ...)."""
    return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing)


def _hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """(right answers, answers)"""
    right = (outputs.argmax(1) == targets).sum(dtype=torch.float64)
    return torch.stack((right, torch.full_like(right, targets.numel())))


LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy}
METRICS: dict[str, Metric] = {"accuracy": Metric(_hits, lambda total: total[0] / total[1])}
