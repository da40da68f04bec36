"""Split, Stream and Splits: the samples of a task, as arrays or as a function that reads one at a time. numpy only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Read = Callable[[int], tuple[Array, Array]]  # place → one image, and its target
TEST = "test_"  # before the names of what is measured on the test split
UNLABELLED = -100  # the target of a pixel or token that has no class; loss and metrics leave it out


@dataclass(frozen=True)
class Split:
    """The n samples of a split in memory: inputs (n, *task.input), ready for the network, and their targets (n, ...).

    Targets are class numbers (integers, UNLABELLED for none) or the numbers to predict (floats). Integers may have any
    width: they are converted to int64 batch by batch.
    """

    inputs: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Stream:
    """The n images of a split that need not fit in memory: `read(i)` returns one as (uint8 (C, H, W), its target).

    Loader workers call `read`; the device computes (pixel / 255 − mean) / deviation, for each channel.
    """

    read: Read
    samples: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __len__(self) -> int:
        return self.samples


@dataclass(frozen=True)
class Splits:
    """Three disjoint parts of one data set: weights are trained on train, candidates are chosen by validation, and
    test measures the final networks only.
    """

    train: Split | Stream
    validation: Split | Stream
    test: Split | Stream


def joined(left: Split | Stream, right: Split | Stream) -> Split | Stream:
    """Return the samples of two splits of one data set as one, those of `left` first."""
    if isinstance(left, Stream) and isinstance(right, Stream):
        read = functools.partial(_read_joined, left.read, left.samples, right.read)
        return dataclasses.replace(left, read=read, samples=left.samples + right.samples)
    assert isinstance(left, Split)
    assert isinstance(right, Split)
    return Split(np.concatenate((left.inputs, right.inputs)), np.concatenate((left.targets, right.targets)))


def _read_joined(left: Read, samples: int, right: Read, place: int) -> tuple[Array, Array]:
    return left(place) if place < samples else right(place - samples)
