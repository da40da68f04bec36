"""Check that the data of a task agrees with its facts: types, shapes, finite numbers, class numbers. numpy only."""

from __future__ import annotations

import numpy as np

from nas.errors import TaskError
from nas.tasks.splits import UNLABELLED, Array, Split, Splits, Stream
from nas.tasks.task import Task


def check_splits(splits: Splits, task: Task) -> Splits:
    """Return the splits if they agree with the facts of the task; of a Stream only the type is checked.

    Raises TaskError that names the split and the row (counted from 0).
    """
    for name, split in vars(splits).items():
        if isinstance(split, Split):
            _check_split(f"task {task.name}: the {name} split", split, task)
        elif not isinstance(split, Stream):
            raise TaskError(f"task {task.name}: the {name} split must be a Split or a Stream, but got {split!r}"[:300])
    return splits


def _check_split(what: str, split: Split, task: Task) -> None:
    """Raise TaskError, beginning with `what`, if the arrays of a split disagree with the facts of the task."""
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
    """Return the first row of a boolean array (n, …) that holds a True; 0 if none does."""
    return int(wrong.reshape(len(wrong), -1).any(1).argmax())
