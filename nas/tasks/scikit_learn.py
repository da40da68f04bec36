"""Find the data files that come with scikit-learn without importing it: the import takes each process seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from nas.errors import TaskError


def data_file(task: str, name: str) -> Path:
    """Return the path of scikit-learn's data file `name`; `task` is for messages. Raises TaskError if it is missing."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise TaskError(f"task {task} needs scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / name
    if not path.is_file():
        raise TaskError(f"task {task}: scikit-learn has no file {path}")
    return path
