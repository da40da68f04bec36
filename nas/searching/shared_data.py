"""The data of a task in the shared memory of each node: the driver reads it once, and no process of a slot again."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nas.tasks import Split, Splits, Task
from nas.tasks.splits import Array

SHARE = 0.5  # of the object store of a node, which the data may take


class SharedData:
    """A function that loads the data of a task, in the place of its `load`.

    Ray sends the data to other processes instead of the function: it holds one copy on each node, in shared memory,
    and the arrays of all processes there are views of it, which nobody can write to. So a node needs no file that the
    driver has. The function itself is sent, and each process loads the data, where that is not possible: the data is
    streamed, or too large for the object store of a node, or the driver cannot load it.
    """

    def __init__(self, load: Callable[[], Splits]) -> None:
        self.load = load

    def __call__(self) -> Splits:
        return self.load()

    @functools.cached_property
    def splits(self) -> Splits | None:
        """The data, if all of it lies in memory here; None if it is streamed, or cannot be loaded in this process."""
        try:
            splits = self.load()
        except Exception:  # noqa: BLE001  # whatever it is: a node may do better, and else says what is wrong
            return None
        return splits if all(isinstance(part, Split) for part in vars(splits).values()) else None

    @property
    def nbytes(self) -> int:
        """The bytes of the data as it is sent; 0 if it cannot be."""
        return 0 if self.splits is None else sum(array.nbytes for array in _arrays(self.splits))

    def __reduce__(self) -> tuple[Any, ...]:
        splits = self.splits
        if splits is None or self.nbytes > SHARE * _smallest_store():
            return _Sent, (self.load, None)
        del self.splits  # what Ray holds now is needed no more here
        return _Sent, (None, [_packed(array) for array in _arrays(splits)])


class _Sent:
    """A `load` that was sent: the function itself, or what it returned."""

    def __init__(self, load: Callable[[], Splits] | None, arrays: list[Array] | None) -> None:
        self.load, self.arrays = load, arrays

    def __call__(self) -> Splits:
        if self.load is not None:
            return self.load()
        assert self.arrays is not None
        parts = iter(map(_unpacked, self.arrays))
        return Splits(*(Split(inputs, targets) for inputs, targets in zip(parts, parts, strict=True)))


def shared(task: Task) -> Task:
    """Return the task with data that Ray holds once on each node."""
    return dataclasses.replace(task, load=SharedData(task.load))


def data_of(evaluate: object) -> SharedData | None:
    """Return the data of what makes evaluators of a `shared` task, a partial with the task; None of anything else."""
    tasks = [one for one in getattr(evaluate, "args", ()) if isinstance(one, Task)]
    return next((task.load for task in tasks if isinstance(task.load, SharedData)), None)


def _arrays(splits: Splits) -> Iterator[Array]:
    for part in vars(splits).values():
        yield from (part.inputs, part.targets)


def _packed(array: Array) -> Array:
    """Return the array as Ray sends it without a copy, contiguous, and as training reads it: images channels last."""
    narrow = array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
    return np.ascontiguousarray(np.moveaxis(narrow, 1, -1) if narrow.ndim == 4 else narrow)


def _unpacked(array: Array) -> Array:
    return np.moveaxis(array, -1, 1) if array.ndim == 4 else array


def _smallest_store() -> float:
    """Return the bytes of the smallest object store of a node; 0 without Ray."""
    import ray

    if not ray.is_initialized():
        return 0.0
    stores = [node["Resources"].get("object_store_memory", 0.0) for node in ray.nodes() if node["Alive"]]
    return min(stores, default=0.0)
