"""Read the options in the name of a task, such as size in imagefolder:PATH?size=64."""

from __future__ import annotations

import re

from nas.errors import TaskError


def whole_number(text: str, option: str, task: str, low: int, high: int) -> int:
    """Return the whole number from `low` to `high` that `text` is. Raises TaskError that names the task's option."""
    if not re.fullmatch("0|[1-9][0-9]{0,8}", text) or not low <= int(text) <= high:
        raise TaskError(f"task {task}: {option} must be a whole number from {low} to {high}, but got {text!r}"[:200])
    return int(text)
