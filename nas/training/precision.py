"""Which precision trains faster on a device: a table and no stopwatch, so that a machine always says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nas.network.compat import cpu_multiplies_bf16

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

AMPERE = (8, 0)  # the first GPUs whose tensor cores multiply bfloat16


def resolve_precision(recipe: Recipe, device: torch.device | str) -> Recipe:
    """The recipe with `precision: auto` decided: bf16 where the device has instructions for it."""
    if recipe.precision != "auto":
        return recipe
    return recipe.model_copy(update={"precision": "bf16" if _multiplies_bf16(torch.device(device)) else "float32"})


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= AMPERE
    return cpu_multiplies_bf16()
