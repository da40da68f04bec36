"""The facts of a task as plain data: a run records them, so that it can be looked at without its task.

To make a task may import a function of the user or read a file. Only what trains needs that.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.errors import TaskError, first_fault
from nas.tasks import function, registry
from nas.tasks.here import here
from nas.tasks.splits import Splits
from nas.tasks.task import Task


class TaskFacts(BaseModel):
    """The facts about a task that a record states; the fields are those of Task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: tuple[int, ...]
    outputs: int
    metric: str = Field(min_length=1, max_length=100)
    direction: Literal["maximize", "minimize"]
    loss: str
    notes: tuple[str, ...] = ()


def facts_of(task: Task) -> dict[str, Any]:
    """Return the facts of a task as plain data."""
    known = {name: getattr(task, name) for name in TaskFacts.model_fields}
    return TaskFacts.model_validate(known).model_dump(mode="json")


def task_of(name: str, facts: object) -> Task:
    """Return the task of that name with recorded facts; it is made, and imported, where its data is loaded.

    Raises TaskError if the facts are none.
    """
    try:
        known = TaskFacts.model_validate(facts)
    except ValidationError as error:
        raise TaskError(first_fault(error.errors())) from None
    return Task(name, load=functools.partial(_load, name, known, here()), **dict(known))


def _load(name: str, facts: TaskFacts, folder: Path) -> Splits:
    """Make the task and load its data. Raises TaskError if it is not the recorded one any more.

    folder  where modules are looked for, besides Python's path
    """
    made = function.make_task(name, folder) if registry.is_function(name) else registry.get(name)
    for field, recorded, now in (("input", facts.input, made.input), ("outputs", facts.outputs, made.outputs)):
        if now != recorded:
            raise TaskError(f"task {name} has changed: its {field} was {recorded}, but is {now}")
    return made.load()
