"""Augmentation of a batch on its device: each image gets its own mirroring, shift and cutout, in a few operations.

Labels of pixels (B, H, W) move with their pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe


def augment(inputs: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the images (B, C, H, W) and their targets after the recipe's flip, translate and cutout.

    `generator` is the source of the randomness; it must be on the device of the inputs.
    """
    if recipe.flip or recipe.translate:
        inputs, targets = _moved(inputs, targets, recipe, generator)
    if recipe.cutout:
        inputs = inputs.masked_fill(_holes(inputs, recipe.cutout, generator), 0)
    return inputs, targets


def _moved(inputs: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror half of the images and shift each by up to `translate` pixels; reflection fills the border."""
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
    pixels = torch.arange(batch, device=inputs.device)[:, None, None], rows[:, :, None], columns[:, None, :]
    moved = inputs.permute(0, 2, 3, 1)[pixels].permute(0, 3, 1, 2)  # channels last, like the inputs
    return moved, targets[pixels] if targets.ndim == 3 else targets


def _reflected(indices: Tensor, size: int) -> Tensor:
    """Return the indices, reflected at the first and the last one: −1 becomes 1, `size` becomes size − 2."""
    return size - 1 - (size - 1 - indices.abs()).abs()


def _holes(inputs: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return a mask (B, 1, H, W) with one square in each image, `side` pixels wide, centred on any pixel.

    DeVries & Taylor 2017 (Improved regularization of convolutional neural networks with cutout, arXiv:1708.04552).
    """
    batch, _, height, width = inputs.shape
    inside = []
    for size, shape in ((height, (1, -1, 1)), (width, (1, 1, -1))):
        start = torch.randint(size, (batch, 1, 1), generator=generator, device=inputs.device) - side // 2
        indices = torch.arange(size, device=inputs.device).view(shape)
        inside.append((indices >= start) & (indices < start + side))
    return (inside[0] & inside[1])[:, None]
