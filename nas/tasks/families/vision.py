"""The data sets of 32×32 pixels that everybody compares on, read by torchvision from a data folder.

The folder is `data` here or what the environment variable NAS_DATA names. Of the training images every tenth of a
class is kept for validation; the authors' test images are the test split.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import TaskError
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.splitting import in_turn
from nas.tasks.task import Task

HELD_OUT = (*("train",) * 9, "validation")
RECIPE = Recipe(epochs=30, batch_size=512, lr=0.4, flip=True, translate=2)


@dataclass(frozen=True)
class Source:
    """How torchvision reads a data set.

    reader   the class of torchvision.datasets; `asked` its arguments for the training and the test images
    place    where in the data folder its files are, and in words which they are
    mean     of the training images' pixels from 0 to 1, each channel, and their deviation
    """

    reader: str
    asked: tuple[dict[str, Any], dict[str, Any]]
    place: str
    files: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


TRAIN_OR_TEST: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
SOURCES = {
    "cifar10": Source(
        "CIFAR10",
        TRAIN_OR_TEST,
        "cifar-10-batches-py",
        "the files of CIFAR-10's python version",
        (0.4914, 0.4822, 0.4465),
        (0.2470, 0.2435, 0.2616),
    ),
    "cifar100": Source(
        "CIFAR100",
        TRAIN_OR_TEST,
        "cifar-100-python",
        "the files of CIFAR-100's python version",
        (0.5071, 0.4865, 0.4409),
        (0.2673, 0.2564, 0.2762),
    ),
    "svhn": Source(
        "SVHN",
        ({"split": "train"}, {"split": "test"}),
        "svhn",
        "train_32x32.mat and test_32x32.mat",
        (0.4377, 0.4438, 0.4728),
        (0.1980, 0.2010, 0.1970),
    ),
    "fashion_mnist": Source(
        "FashionMNIST",
        TRAIN_OR_TEST,
        "FashionMNIST/raw",
        "the four ubyte files",
        (0.2860,),
        (0.3530,),
    ),
}


def cifar10() -> Task:
    """32×32 colour images in ten classes (Krizhevsky 2009)."""
    return _task("cifar10", (3, 32, 32), 10, RECIPE)


def cifar100() -> Task:
    """32×32 colour images in a hundred classes (Krizhevsky 2009)."""
    return _task("cifar100", (3, 32, 32), 100, RECIPE)


def svhn() -> Task:
    """32×32 photographs of house numbers, the digit in the middle (Netzer et al. 2011): mirrored they are no digits."""
    return _task("svhn", (3, 32, 32), 10, RECIPE.model_copy(update={"flip": False}))


def fashion_mnist() -> Task:
    """28×28 grey images of ten kinds of clothes (Xiao et al. 2017)."""
    return _task("fashion_mnist", (1, 28, 28), 10, RECIPE)


TASKS = {"cifar10": cifar10, "cifar100": cifar100, "svhn": svhn, "fashion_mnist": fashion_mnist}


def _task(name: str, input: tuple[int, ...], outputs: int, recipe: Recipe) -> Task:
    folder = Path(os.environ.get("NAS_DATA", "data")).absolute()
    return Task(name, input, outputs, functools.partial(_load, name, folder), recipe=recipe)


def _load(name: str, folder: Path) -> Splits:
    """The three splits, each channel standardised. Raises TaskError where the files are neither there nor to be had."""
    images, labels = _read(name, folder, 0)
    held = in_turn(labels, HELD_OUT) == "validation"
    train, validation = Split(images[~held], labels[~held]), Split(images[held], labels[held])
    return Splits(train, validation, Split(*_read(name, folder, 1)))


def _read(name: str, folder: Path, part: int) -> tuple[Array, Array]:
    """Images (n, C, H, W) and labels (n,) from torchvision's files, whose checksums it compares before it reads."""
    from torchvision import datasets

    source = SOURCES[name]
    place = folder / source.place
    root = place if name == "svhn" else folder
    reader: Callable[..., Any] = getattr(datasets, source.reader)
    try:
        data = reader(root, **source.asked[part], download=not place.is_dir())
    except (OSError, RuntimeError) as error:
        raise TaskError(
            f"task {name}: {place} is not there or not whole, and cannot be fetched ({type(error).__name__}): "
            f"put {source.files} there, or set NAS_DATA"
        ) from None
    images = np.asarray(data.data)
    if name != "svhn":  # whose channels are second already
        images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    mean, deviation = (np.reshape(row, (-1, 1, 1)) for row in (source.mean, source.deviation))
    standard = ((images / np.float32(255) - mean) / deviation).astype(np.float32)
    return np.ascontiguousarray(standard), np.asarray(data.labels if name == "svhn" else data.targets, np.int64)
