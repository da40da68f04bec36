"""Values of any library as plain JSON."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any


def as_json(value: Any) -> Any:
    """Return `value` as JSON that every reader accepts.

    Numbers of any library become Python's, infinities and NaN become None, other objects become their str().
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return str(value)
