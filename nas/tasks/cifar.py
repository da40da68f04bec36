"""CIFAR-10, 32×32 colour images in ten classes (Krizhevsky 2009), read by torchvision from a data folder.

The folder is `data` here or what the environment variable NAS_DATA names. Of the 50,000 training images every tenth
of a class is kept for validation; the 10,000 test images are the test split.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.recipe import Recipe
from nas.tasks.task import Array, Split, Splits, Task

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training images, each channel
HELD_OUT = 10  # every tenth image of a class


def cifar10() -> Task:
    """32×32 colour images in ten classes."""
    return Task("cifar10", input=(3, 32, 32), outputs=10, load=load, recipe=Recipe(epochs=30, batch_size=512, lr=0.4))


def load() -> Splits:
    """The three splits, each channel standardised. Raises TaskError where the files are neither there nor to be had."""
    images, labels = _read(train=True)
    place = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        place[rows] = np.arange(len(rows))
    held = place % HELD_OUT == HELD_OUT - 1
    train, validation = Split(images[~held], labels[~held]), Split(images[held], labels[held])
    return Splits(train, validation, Split(*_read(train=False)))


def _read(train: bool) -> tuple[Array, Array]:
    """Images (n, 3, 32, 32) and labels (n,) from torchvision's files, whose checksums it compares before it reads."""
    from torchvision.datasets import CIFAR10

    folder = Path(os.environ.get("NAS_DATA", "data"))
    try:
        data = CIFAR10(folder, train=train, download=not (folder / CIFAR10.base_folder).is_dir())
    except (OSError, RuntimeError) as error:
        raise TaskError(
            f"task cifar10: {folder / CIFAR10.base_folder} is not there or not whole, and cannot be fetched "
            f"({type(error).__name__}): put the files of CIFAR-10's python version there, or set NAS_DATA"
        ) from None
    images = (data.data.astype(np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32), np.asarray(data.targets, np.int64)
