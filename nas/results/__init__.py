"""Metrics that come from a table of results or from the user's own function, instead of a training. No torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.results import table
from nas.results.call import Caller
from nas.results.table import Lookup
from nas.tasks import Task, function
from nas.tasks.recipe import Recipe


def evaluator(task: Task, recipe: Recipe) -> Callable[..., Any]:
    """(device=, threads=) → what evaluates candidates of a task with `results`, as nas.training.Evaluator does.

    A table is read here and travels to the slots as it is; a function is imported here, to be sure of it, and again
    in every slot. Raises TaskError where the table or the function is not what it must be.
    """
    assert task.results is not None
    kind, place = task.results
    if kind == "table":
        return functools.partial(Lookup, table.read(Path(place), task), Path(place).name, recipe.epochs)
    function.find(place)
    return functools.partial(Caller, place, Path.cwd())
