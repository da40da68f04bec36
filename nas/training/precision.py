"""The decision about `precision: auto`. It is a table and no measurement, so that a machine always decides the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nas.network.compat import cpu_multiplies_bf16

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

AMPERE = (8, 0)  # compute capability of the first GPUs whose tensor cores multiply bfloat16


def resolve_precision(recipe: Recipe, device: torch.device | str) -> Recipe:
    """Return the recipe with `precision: auto` replaced: by bf16 if the device can multiply it, else by float32."""
    if recipe.precision != "auto":
        return recipe
    return recipe.model_copy(update={"precision": "bf16" if _multiplies_bf16(torch.device(device)) else "float32"})


def _multiplies_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16, without which it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= AMPERE
    return cpu_multiplies_bf16()
