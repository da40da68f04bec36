"""scikit-learn's own data, read without importing it: that would take each process of a search seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from nas.errors import TaskError


def data_file(task: str, name: str) -> Path:
    """scikit-learn's file of this name. Raises TaskError where there is none."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise TaskError(f"task {task} needs scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / name
    if not path.is_file():
        raise TaskError(f"task {task}: scikit-learn has no file {path}")
    return path
