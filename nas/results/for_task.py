"""Choose what evaluates the candidates of a task whose metrics do not come from a training: a table or a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from nas.results import table
from nas.results.call import FunctionEvaluator
from nas.results.table import TableEvaluator
from nas.tasks import Task, function
from nas.tasks.here import here
from nas.tasks.recipe import Recipe


def evaluator(task: Task, recipe: Recipe) -> Callable[..., FunctionEvaluator | TableEvaluator]:
    """Return a function (device=, threads=) → evaluator for a task that has `results` (see nas.tasks.Task).

    The evaluator has the interface of nas.training.Evaluator. The table is read here, once, and sent to the slots as
    data. The user's function is imported here, so that a mistake is found before the search, and again in every slot.
    Raises TaskError if the table or the function is not valid.
    """
    assert task.results is not None
    kind, location = task.results
    if kind == "table":
        return functools.partial(TableEvaluator, table.read(Path(location), task), Path(location).name, recipe.epochs)
    function.find(location)
    return functools.partial(FunctionEvaluator, location, here())


def depends_on_seed(evaluate: Callable[..., object]) -> bool:
    """Return whether evaluators that `evaluate` makes may have another result for another seed.

    They have not where they look it up in a table that holds one number for each topology.
    """
    if not isinstance(evaluate, functools.partial) or evaluate.func is not TableEvaluator:
        return True
    return table.has_seeds(evaluate.args[0])
