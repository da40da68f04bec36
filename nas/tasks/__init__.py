"""Tasks: the data, the metric and the training recipe of what candidates are evaluated on. A new task is one new file
in nas/tasks/families; `get` makes a task by its name. The facts of a task cost little; its data is loaded on demand.
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
