"""Standardise arrays: subtract a mean, divide by a standard deviation. numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.tasks.splits import Array


def standardised(values: Array, mean: Any, deviation: Any) -> Array:
    """Return (values − mean) / deviation in float32."""
    return np.asarray((values - mean) / deviation, np.float32)
