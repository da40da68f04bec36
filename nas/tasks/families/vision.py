"""The tasks cifar10, cifar100, svhn and fashion_mnist: small images of public benchmarks, read by torchvision.

The data folder is `data` in the current folder, or the one in the environment variable NAS_DATA. Every tenth training
image of a class is in the validation split; the authors' test images are the test split.
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
from nas.tasks.splitting import assign_in_turn
from nas.tasks.task import Task

HELD_OUT = (*("train",) * 9, "validation")
RECIPE = Recipe(epochs=30, batch_size=512, lr=0.4, flip=True, translate=2)


@dataclass(frozen=True)
class TorchvisionData:
    """A data set that torchvision reads.

    reader      name of the class in torchvision.datasets
    arguments   its arguments for the training images and for the test images
    place       the path of its files in the data folder
    files       what the files are called, for messages
    mean        of each channel of the training images, pixels from 0 to 1
    deviation   standard deviation of each channel
    """

    reader: str
    arguments: tuple[dict[str, Any], dict[str, Any]]
    place: str
    files: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


TRAIN_OR_TEST: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
DATA_SETS = {
    "cifar10": TorchvisionData(
        "CIFAR10",
        TRAIN_OR_TEST,
        "cifar-10-batches-py",
        "the files of CIFAR-10's python version",
        (0.4914, 0.4822, 0.4465),
        (0.2470, 0.2435, 0.2616),
    ),
    "cifar100": TorchvisionData(
        "CIFAR100",
        TRAIN_OR_TEST,
        "cifar-100-python",
        "the files of CIFAR-100's python version",
        (0.5071, 0.4865, 0.4409),
        (0.2673, 0.2564, 0.2762),
    ),
    "svhn": TorchvisionData(
        "SVHN",
        ({"split": "train"}, {"split": "test"}),
        "svhn",
        "train_32x32.mat and test_32x32.mat",
        (0.4377, 0.4438, 0.4728),
        (0.1980, 0.2010, 0.1970),
    ),
    "fashion_mnist": TorchvisionData(
        "FashionMNIST",
        TRAIN_OR_TEST,
        "FashionMNIST/raw",
        "the four ubyte files",
        (0.2860,),
        (0.3530,),
    ),
}


def cifar10() -> Task:
    """Return the task: 32×32 colour images in ten classes (Krizhevsky 2009)."""
    return _task("cifar10", (3, 32, 32), 10, RECIPE)


def cifar100() -> Task:
    """Return the task: 32×32 colour images in a hundred classes (Krizhevsky 2009)."""
    return _task("cifar100", (3, 32, 32), 100, RECIPE)


def svhn() -> Task:
    """Return the task: 32×32 photographs of house numbers, to find the digit in the middle (Netzer et al. 2011).

    The recipe does not mirror images, because a mirrored digit is not a digit.
    """
    return _task("svhn", (3, 32, 32), 10, RECIPE.model_copy(update={"flip": False}))


def fashion_mnist() -> Task:
    """Return the task: 28×28 grey images of ten kinds of clothes (Xiao et al. 2017)."""
    return _task("fashion_mnist", (1, 28, 28), 10, RECIPE)


TASKS = {"cifar10": cifar10, "cifar100": cifar100, "svhn": svhn, "fashion_mnist": fashion_mnist}


def _task(name: str, input: tuple[int, ...], outputs: int, recipe: Recipe) -> Task:
    folder = Path(os.environ.get("NAS_DATA", "data")).absolute()
    return Task(name, input, outputs, functools.partial(_load, name, folder), recipe=recipe)


def _load(name: str, folder: Path) -> Splits:
    """Return the splits, each channel standardised. Raises TaskError if the files cannot be read or downloaded."""
    images, labels = _read(name, folder, 0)
    held = assign_in_turn(labels, HELD_OUT) == "validation"
    train, validation = Split(images[~held], labels[~held]), Split(images[held], labels[held])
    return Splits(train, validation, Split(*_read(name, folder, 1)))


def _read(name: str, folder: Path, which: int) -> tuple[Array, Array]:
    """Return images (n, C, H, W) and labels (n,), of the training set (which=0) or the test set (which=1).

    torchvision compares the checksums of the files before it reads them. Raises TaskError.
    """
    from torchvision import datasets

    data_set = DATA_SETS[name]
    place = folder / data_set.place
    root = place if name == "svhn" else folder
    reader: Callable[..., Any] = getattr(datasets, data_set.reader)
    try:
        data = reader(root, **data_set.arguments[which], download=not place.is_dir())
    except (OSError, RuntimeError) as error:
        raise TaskError(
            f"task {name}: {place} is not there or not whole, and cannot be fetched ({type(error).__name__}): "
            f"put {data_set.files} there, or set NAS_DATA"
        ) from None
    images = np.asarray(data.data)
    if name != "svhn":  # svhn is (n, C, H, W) already
        images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    mean, deviation = (np.reshape(row, (-1, 1, 1)) for row in (data_set.mean, data_set.deviation))
    standard = ((images / np.float32(255) - mean) / deviation).astype(np.float32)
    return np.ascontiguousarray(standard), np.asarray(data.labels if name == "svhn" else data.targets, np.int64)
