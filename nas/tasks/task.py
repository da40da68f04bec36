"""Task: what a candidate is trained for. Facts first; the data comes when it is asked for. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nas.errors import TaskError, expected
from nas.tasks.recipe import Recipe
from nas.tasks.splits import UNLABELLED, Array, Split, Splits, Stream

Direction = Literal["maximize", "minimize"]

METRICS: dict[str, Direction] = {  # what nas.training.metrics can measure, and what is better
    "accuracy": "maximize",
    "mean_iou": "maximize",
    "r2": "maximize",
    "rmse": "minimize",
    "bits_per_byte": "minimize",
}
LOSSES = ("cross_entropy", "squared_error")  # what nas.training.metrics can differentiate


@dataclass(frozen=True)
class Task:
    """The facts about a task, and how to load its data. Raises TaskError where they cannot be true.

    name       what a space calls it
    input      shape of one sample as torch sees it: (C, H, W), (T,) tokens or (D,) numbers
    outputs    numbers that a network gives for one sample (or one place of it): the classes
    load       reads the data; not called before a candidate is trained
    metric     what candidates are ranked by on the validation split
    direction  what is better; known for the metrics of METRICS
    loss       what training minimises, one of LOSSES
    recipe     how candidates are trained, augmentation included, unless a space says otherwise
    notes      what was done to the data that its owner should know, a sentence each
    results    where metrics come from instead of a training: ("table", its path) or ("function", its reference)
    """

    name: str
    input: tuple[int, ...]
    outputs: int
    load: Callable[[], Splits]
    metric: str = "accuracy"
    direction: Direction = None  # type: ignore[assignment]  # set below
    loss: str = "cross_entropy"
    recipe: Recipe = field(default_factory=Recipe)
    notes: tuple[str, ...] = ()
    results: tuple[Literal["table", "function"], str] | None = None

    def __post_init__(self) -> None:
        numbers = (*self.input, self.outputs) if isinstance(self.input, tuple) else (None,)
        if not 2 <= len(numbers) <= 4 or not all(type(n) is int and n > 0 for n in numbers):
            raise TaskError(
                f"input must be (C, H, W), (T,) or (D,) and outputs a number, all whole and positive, "
                f"but got {self.input!r} and {self.outputs!r}"
            )
        if not callable(self.load):
            raise TaskError(f"load must be a function without arguments, but got {self.load!r}")
        if self.direction is None:
            if self.metric not in METRICS:
                raise TaskError(expected("the metric of a task without a direction", self.metric, METRICS))
            object.__setattr__(self, "direction", METRICS[self.metric])
        if self.loss not in LOSSES:
            raise TaskError(expected("loss", self.loss, LOSSES))

    def fault(self, recipe: Recipe) -> tuple[str, str] | None:
        """(field, rule) where the recipe cannot be used for this task."""
        for name in recipe.augmentation:
            if len(self.input) != 3:
                return name, f"changes images (C, H, W), but the input of task {self.name} is {self.input}"
        if recipe.translate and recipe.translate >= min(self.input[1:]):
            rule = f"translate < {min(self.input[1:])} must hold, the size of the images"
            return "translate", f"{rule}, but got {recipe.translate}"
        return None


def without_data(results: tuple[Literal["table", "function"], str], **facts: Any) -> Task:
    """Return a task that has results but no data, named after their file. Raises TaskError if the facts are wrong."""
    name = Path(results[1].rpartition(":")[0] or results[1]).stem

    def load() -> Splits:
        raise TaskError(f"task {name} has no data: its results come from a {results[0]}")

    return Task(name, load=load, recipe=Recipe(epochs=1), results=results, **facts)


def checked(splits: Splits, task: Task) -> Splits:
    """The splits, if they are what the task says. Raises TaskError that names the split and the row (from 0)."""
    for name, split in vars(splits).items():
        if isinstance(split, Split):
            _check_split(f"task {task.name}: the {name} split", split, task)
        elif not isinstance(split, Stream):
            raise TaskError(f"task {task.name}: the {name} split must be a Split or a Stream, but got {split!r}"[:300])
    return splits


def _check_split(what: str, split: Split, task: Task) -> None:
    inputs, targets = split.inputs, split.targets
    if not isinstance(inputs, np.ndarray) or not isinstance(targets, np.ndarray):
        raise TaskError(f"{what} must hold numpy arrays, but got {type(inputs).__name__} and {type(targets).__name__}")
    if len(targets) == 0 or inputs.shape != (len(targets), *task.input):
        shape = ", ".join(map(str, task.input))
        raise TaskError(f"{what} must have inputs (n, {shape}), n > 0, but got {inputs.shape} for {len(targets)}")
    for which, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype.kind not in "fiub":
            raise TaskError(f"{what} must hold numbers, but its {which} are {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise TaskError(f"{what} must be finite, but row {first_row(~np.isfinite(array))} of its {which} is not")
    if task.loss == "cross_entropy":
        wrong = ((targets < 0) | (targets >= task.outputs)) & (targets != UNLABELLED)
        if targets.dtype.kind == "f" or wrong.any():
            got = f"row {first_row(wrong)} has {targets[wrong].flat[0]}" if wrong.any() else f"they are {targets.dtype}"
            raise TaskError(f"{what} must have class numbers 0 … {task.outputs - 1} as targets, but {got}")


def first_row(wrong: Array) -> int:
    """The first row in which something is wrong; 0 where nothing is."""
    return int(wrong.reshape(len(wrong), -1).any(1).argmax())


def standardised(inputs: Array, mean: Any, deviation: Any) -> Array:
    """(x − mean) / deviation in float32."""
    return ((inputs - mean) / deviation).astype(np.float32)
