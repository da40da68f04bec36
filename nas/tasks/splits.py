"""Samples of a task as arrays, or as something that reads them one at a time. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
UNLABELLED = -100  # the target of a place that has none: neither loss nor metric sees it


@dataclass(frozen=True)
class Split:
    """n samples in memory: inputs (n, *task.input), ready for the network, and their targets (n, ...).

    Targets are class numbers (whole numbers, UNLABELLED for none) or the numbers to predict (floats). Whole numbers
    may be of any width: they are widened batch by batch.
    """

    inputs: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Stream:
    """n images that need not fit in memory: `read(i)` gives one as (uint8 (C, H, W), its target).

    Loader workers call `read`; the device computes (pixel / 255 − mean) / deviation, for each channel.
    """

    read: Callable[[int], tuple[Array, Array]]
    samples: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __len__(self) -> int:
        return self.samples


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of one data set: weights come from train, choices from validation, claims from test."""

    train: Split | Stream
    validation: Split | Stream
    test: Split | Stream
