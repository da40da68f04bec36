"""The memory of the GPU of this process, as torch sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from nas.tasks import Split, Splits


def total_memory() -> int | None:
    """Return the memory of the GPU in bytes.

    None if torch finds no GPU, or if torch was not imported: an evaluator may do without it.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory)


def limit_memory(memory_bytes: int) -> None:
    """Make torch allocate no more than this on the GPU.

    A candidate whose memory was predicted too low then fails itself, instead of those that share the GPU with it.
    """
    if (total := total_memory()) is not None:
        sys.modules["torch"].cuda.set_per_process_memory_fraction(min(1.0, memory_bytes / total))


def inspect(load: Callable[[], Splits] | None, memory_bytes: int | None) -> tuple[int | None, int]:
    """Return the memory of the GPU in bytes (`memory_bytes` if it is given), and the bytes that the data takes there.

    load  reads the data of the task; None if the data is not on the GPU
    """
    if memory_bytes is None:
        import torch  # noqa: F401  # total_memory() finds it in sys.modules

        memory_bytes = total_memory()
    return memory_bytes, 0 if load is None else resident_bytes(load())


def resident_bytes(splits: Splits) -> int:
    """Return the bytes of the training and validation data that stays on the device; floats are float32 there.

    Streamed data does not stay there and counts nothing (nas.training.data).
    """
    parts = [part for part in (splits.train, splits.validation) if isinstance(part, Split)]
    arrays = [array for part in parts for array in (part.inputs, part.targets)]
    return sum(4 * array.size if np.issubdtype(array.dtype, np.floating) else array.nbytes for array in arrays)
