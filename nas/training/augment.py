"""Augmentation of a batch where it lies: every sample its own mirror image, shift and hole, in a few operations.

Labels of places (B, H, W) move with their pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe


def augment(inputs: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The batch (B, C, H, W) after the recipe's flip, translate and cutout, drawn from the device's `generator`."""
    if recipe.flip or recipe.translate:
        inputs, targets = _moved(inputs, targets, recipe, generator)
    if recipe.cutout:
        inputs = inputs.masked_fill(_holes(inputs, recipe.cutout, generator), 0)
    return inputs, targets


def _moved(inputs: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of the images mirrored, all shifted by up to `translate` pixels; what comes in is the reflected edge."""
    batch, _, height, width = inputs.shape
    rows = torch.arange(height, device=inputs.device).expand(batch, -1)
    columns = torch.arange(width, device=inputs.device).expand(batch, -1)
    if recipe.flip:
        mirrored = torch.rand((batch, 1), generator=generator, device=inputs.device) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if recipe.translate:
        reach = -recipe.translate, recipe.translate + 1
        down, right = torch.randint(*reach, (2, batch, 1), generator=generator, device=inputs.device)
        rows, columns = _reflected(rows + down, height), _reflected(columns + right, width)
    place = torch.arange(batch, device=inputs.device)[:, None, None], rows[:, :, None], columns[:, None, :]
    moved = inputs.permute(0, 2, 3, 1)[place].permute(0, 3, 1, 2)  # channels last, as they were
    return moved, targets[place] if targets.ndim == 3 else targets


def _reflected(places: Tensor, size: int) -> Tensor:
    """−1 is 1, and size is size − 2."""
    return size - 1 - (size - 1 - places.abs()).abs()


def _holes(inputs: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of `side` pixels of each image (B, 1, H, W), its middle anywhere (DeVries & Taylor 2017)."""
    batch, _, height, width = inputs.shape
    inside = []
    for size, shape in ((height, (1, -1, 1)), (width, (1, 1, -1))):
        start = torch.randint(size, (batch, 1, 1), generator=generator, device=inputs.device) - side // 2
        places = torch.arange(size, device=inputs.device).view(shape)
        inside.append((places >= start) & (places < start + side))
    return (inside[0] & inside[1])[:, None]
