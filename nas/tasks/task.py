"""Task: what a candidate is trained for, as facts and a function that loads the data. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nas.errors import TaskError, expected
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Splits

Direction = Literal["maximize", "minimize"]

# the metrics that nas.training.metrics measures → the direction of better values
METRICS: dict[str, Direction] = {
    "accuracy": "maximize",
    "mean_iou": "maximize",
    "r2": "maximize",
    "rmse": "minimize",
    "bits_per_byte": "minimize",
}
LOSSES = ("cross_entropy", "squared_error")  # the losses that nas.training.metrics computes


@dataclass(frozen=True)
class Task:
    """The facts about a task, and how to load its data. Raises TaskError if they contradict each other.

    name       the word for it in a space file
    input      shape of one sample as torch receives it: (C, H, W), (T,) tokens or (D,) numbers
    outputs    how many numbers a network returns for a sample (or for each position of it): the classes
    load       loads the data; it is not called before a candidate is trained
    metric     what candidates are ranked by, measured on the validation split
    direction  of better values: "maximize" or "minimize"; may be left out for the metrics in METRICS
    loss       what training minimises, one of LOSSES
    recipe     how candidates are trained, augmentation included, unless a space says otherwise
    notes      what was done to the data that its owner should know, a sentence each
    results    where metrics come from instead of a training: ("table", its path) or ("function", its location)
    """

    name: str
    input: tuple[int, ...]
    outputs: int
    load: Callable[[], Splits]
    metric: str = "accuracy"
    direction: Direction = None  # type: ignore[assignment]  # set in __post_init__
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
        """Return the field of the recipe that does not fit this task and the rule it breaks; None if all fit."""
        for name in recipe.augmentation:
            if len(self.input) != 3:
                return name, f"changes images (C, H, W), but the input of task {self.name} is {self.input}"
        if recipe.translate and recipe.translate >= min(self.input[1:]):
            rule = f"translate < {min(self.input[1:])} must hold, the size of the images"
            return "translate", f"{rule}, but got {recipe.translate}"
        return None


def without_data(results: tuple[Literal["table", "function"], str], **facts: Any) -> Task:
    """Return a task that has results but no data: `load` raises TaskError. Its name is that of the results' file.

    `facts` are fields of Task, at least input and outputs. Raises TaskError if they contradict each other.
    """
    name = Path(results[1].rpartition(":")[0] or results[1]).stem

    def load() -> Splits:
        raise TaskError(f"task {name} has no data: its results come from a {results[0]}")

    return Task(name, load=load, recipe=Recipe(epochs=1), results=results, **facts)
