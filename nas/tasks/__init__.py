"""Tasks: one file per family of data; TASKS is the list of all. Facts cost nothing, data is loaded on demand."""

from __future__ import annotations

from collections.abc import Callable

from nas.errors import TaskError, expected
from nas.tasks import cifar, digits
from nas.tasks.task import Split, Splits, Task

__all__ = ["TASKS", "Split", "Splits", "Task", "get"]

TASKS: dict[str, Callable[[], Task]] = {
    "digits": digits.task,
    "cifar10": cifar.cifar10,
}


def get(name: str) -> Task:
    """The task called `name`. Raises TaskError, with the closest name, where there is none."""
    if name not in TASKS:
        raise TaskError(expected("task", name, TASKS))
    return TASKS[name]()
