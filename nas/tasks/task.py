"""Task: what a candidate is trained for. Facts first; the data comes when it is asked for. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.recipe import Recipe

Array = NDArray[Any]


@dataclass(frozen=True)
class Split:
    """n samples: inputs (n, *task.input), ready for the network, and their targets (n, ...)."""

    inputs: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of one data set: weights come from train, choices from validation, claims from test."""

    train: Split
    validation: Split
    test: Split


@dataclass(frozen=True)
class Task:
    """The facts about a task, and how to load its data.

    input      shape of one sample as torch sees it: (C, H, W), (T,) tokens or (D,) numbers
    outputs    numbers that a network gives for one sample (or one place of it): the classes
    load       reads the data; not called before a candidate is trained
    metric     what candidates are ranked by on the validation split, and `direction` what is better
    loss       what training minimises
    recipe     how candidates are trained unless a space says otherwise
    """

    name: str
    input: tuple[int, ...]
    outputs: int
    load: Callable[[], Splits]
    metric: str = "accuracy"
    direction: Literal["maximize", "minimize"] = "maximize"
    loss: str = "cross_entropy"
    recipe: Recipe = field(default_factory=Recipe)


def standardised(inputs: Array, mean: float, deviation: float) -> Array:
    """(x − mean) / deviation in float32."""
    return ((inputs - mean) / deviation).astype(np.float32)
