"""The GPU of this process, as torch knows it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from nas.tasks import Split, Splits


def holds() -> int | None:
    """Its bytes; None where torch finds none, or was not imported: an evaluator may do without it."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory)


def limit(memory: int) -> None:
    """torch takes no more bytes of it: a prediction that was too low hurts its own candidate, not those beside it."""
    if (total := holds()) is not None:
        sys.modules["torch"].cuda.set_per_process_memory_fraction(min(1.0, memory / total))


def look(load: Callable[[], Splits] | None, memory: int | None) -> tuple[int | None, int]:
    """What it holds, unless that is given, and the bytes of the data that `load` would have it hold."""
    if memory is None:
        import torch  # noqa: F401  # so that holds() finds it

        memory = holds()
    return memory, 0 if load is None else resident(load())


def resident(splits: Splits) -> int:
    """Bytes of what lies on the device (nas.training.data): training and validation, floats as float32."""
    parts = [part for part in (splits.train, splits.validation) if isinstance(part, Split)]
    arrays = [array for part in parts for array in (part.inputs, part.targets)]
    return sum(4 * array.size if np.issubdtype(array.dtype, np.floating) else array.nbytes for array in arrays)
