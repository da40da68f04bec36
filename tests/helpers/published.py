"""NAS-Bench-Macro (Su et al. 2021): three trainings of each of 6,561 networks, where the file is beside the project."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

TABLE = Path(__file__).parents[3] / "shared/data/nas-bench-macro_cifar10.json"
needs_table = pytest.mark.skipif(not TABLE.is_file(), reason=f"the table of NAS-Bench-Macro is not at {TABLE}")


@functools.cache
def nas_bench_macro() -> tuple[list[str], np.ndarray]:
    """Return the code of every network, a digit for the op of each layer, and its accuracies in percent, (n, 3)."""
    data = json.loads(TABLE.read_text(encoding="utf-8"))
    return list(data), np.array([one["test_acc"] for one in data.values()])
