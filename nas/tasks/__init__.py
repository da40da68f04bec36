"""Tasks: a task is the data, the loss, the metric and the recipe by which candidates are trained and evaluated.

`get` makes a task by its name; its facts cost little, and its data is loaded when a candidate needs it. A new task is
one new file in nas/tasks/families.
"""

from nas.tasks.registry import TASKS, get, usage
from nas.tasks.splits import UNLABELLED, Array, Split, Splits, Stream
from nas.tasks.task import LOSSES, METRICS, Task, without_data

__all__ = [
    "LOSSES",
    "METRICS",
    "TASKS",
    "UNLABELLED",
    "Array",
    "Split",
    "Splits",
    "Stream",
    "Task",
    "get",
    "usage",
    "without_data",
]
