"""Losses and metrics against their definitions, and that batches add up to the whole."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import jaccard_score, r2_score, root_mean_squared_error
from torch import Tensor
from torch.nn import functional as F

from nas import tasks
from nas.tasks import UNLABELLED
from nas.training.metrics import LOSSES, METRICS

RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.randn(12, 5, 6, 7, generator=RANDOM), torch.randint(5, (12, 6, 7), generator=RANDOM)
TOKENS = torch.randn(12, 9, 5, generator=RANDOM), torch.randint(5, (12, 9), generator=RANDOM)
NUMBERS = torch.randn(12, 1, generator=RANDOM), torch.randn(12, generator=RANDOM)


def measured(name: str, outputs: Tensor, targets: Tensor, size: int = 5) -> float:
    batches = zip(outputs.split(size), targets.split(size), strict=True)
    return METRICS[name].value(sum(METRICS[name].count(*batch) for batch in batches).tolist())  # type: ignore[union-attr]


def test_every_loss_and_metric_is_a_tasks_and_back() -> None:
    assert set(METRICS) == set(tasks.METRICS) and set(LOSSES) == set(tasks.LOSSES)


def test_mean_iou_is_scikit_learns() -> None:
    outputs, targets = IMAGES
    theirs = jaccard_score(targets.flatten(), outputs.argmax(1).flatten(), average="macro")
    assert measured("mean_iou", outputs, targets) == pytest.approx(theirs)


def test_a_class_that_is_nowhere_does_not_count() -> None:
    targets = torch.zeros(2, 3, 3, dtype=torch.long)
    outputs = F.one_hot(targets, 5).permute(0, 3, 1, 2).float()
    assert measured("mean_iou", outputs, targets) == 1


def test_regression_is_scikit_learns() -> None:
    outputs, targets = NUMBERS
    assert measured("r2", outputs, targets) == pytest.approx(r2_score(targets.numpy(), outputs[:, 0].numpy()))
    assert measured("rmse", outputs, targets) == pytest.approx(
        root_mean_squared_error(targets.numpy(), outputs[:, 0].numpy())
    )
    assert LOSSES["squared_error"](outputs, targets) == pytest.approx(measured("rmse", outputs, targets) ** 2)


def test_the_classes_of_sequences_are_last() -> None:
    outputs, targets = TOKENS
    expected = F.cross_entropy(outputs.transpose(1, 2), targets, label_smoothing=0.2)
    assert torch.allclose(LOSSES["cross_entropy"](outputs, targets, 0.2), expected)
    assert measured("accuracy", outputs, targets) == pytest.approx((outputs.argmax(2) == targets).float().mean())
    bits = F.cross_entropy(outputs.flatten(0, 1), targets.flatten()) / math.log(2)
    assert measured("bits_per_byte", outputs, targets) == pytest.approx(bits.item(), rel=1e-6)


@pytest.mark.parametrize("metric", ["accuracy", "mean_iou"])
def test_places_without_a_label_are_left_out(metric: str) -> None:
    outputs, targets = IMAGES
    half = targets.clone()
    half[:, 3:] = UNLABELLED
    assert measured(metric, outputs, half) == pytest.approx(measured(metric, outputs[:, :, :3], targets[:, :3]))
    assert torch.allclose(LOSSES["cross_entropy"](outputs, half), F.cross_entropy(outputs[:, :, :3], targets[:, :3]))


@pytest.mark.parametrize(("metric", "value"), [("mean_iou", []), ("r2", [1.0, 2.0, 4.0, 1.0])])
def test_what_cannot_be_measured_is_nan(metric: str, value: list[float]) -> None:
    assert math.isnan(METRICS[metric].value(value))
