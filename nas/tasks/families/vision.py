"""The tasks cifar10, cifar100, svhn and fashion_mnist: small images of public benchmarks, in torchvision's files.

The data folder is `data` in the current folder, or the one in the environment variable NAS_DATA. Where it does not hold
Fashion-MNIST, the files of Debian's package dataset-fashion-mnist are read. Every tenth training image of a class is in
the validation split; the authors' test images are the test split.

The options train and validation take fewer images, `cifar10?train=4000&validation=2000`: the first ones of each class,
each class by its share, and so the same ones in every run; a smaller subset is a part of a larger one. Where validation
is more than the tenth, the last training images of each class are added to it; train is without them. The test split is
never cut.
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
from nas.tasks import idx
from nas.tasks.here import here
from nas.tasks.options import whole_number
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.splitting import assign_in_turn, subset
from nas.tasks.task import Task

HELD_OUT = (*("train",) * 9, "validation")
RECIPE = Recipe(epochs=30, batch_size=512, lr=0.4, flip=True, translate=2)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist installs its files


@dataclass(frozen=True)
class TorchvisionData:
    """A data set that torchvision reads.

    reader      name of the class in torchvision.datasets
    arguments   its arguments for the training images and for the test images
    place       the path of its files in the data folder
    files       what the files are called, for messages
    counts      how many images there are to train with, and how many are held out for validation
    mean        of each channel of the training images, pixels from 0 to 1
    deviation   standard deviation of each channel
    package     the package of Debian that installs the files, if there is one
    """

    reader: str
    arguments: tuple[dict[str, Any], dict[str, Any]]
    place: str
    files: str
    counts: tuple[int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    package: str = ""


TRAIN_OR_TEST: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
DATA_SETS = {
    "cifar10": TorchvisionData(
        "CIFAR10",
        TRAIN_OR_TEST,
        "cifar-10-batches-py",
        "the files of CIFAR-10's python version",
        (45_000, 5000),
        (0.4914, 0.4822, 0.4465),
        (0.2470, 0.2435, 0.2616),
    ),
    "cifar100": TorchvisionData(
        "CIFAR100",
        TRAIN_OR_TEST,
        "cifar-100-python",
        "the files of CIFAR-100's python version",
        (45_000, 5000),
        (0.5071, 0.4865, 0.4409),
        (0.2673, 0.2564, 0.2762),
    ),
    "svhn": TorchvisionData(
        "SVHN",
        ({"split": "train"}, {"split": "test"}),
        "svhn",
        "train_32x32.mat and test_32x32.mat",
        (65_937, 7320),
        (0.4377, 0.4438, 0.4728),
        (0.1980, 0.2010, 0.1970),
    ),
    "fashion_mnist": TorchvisionData(
        "FashionMNIST",
        TRAIN_OR_TEST,
        "FashionMNIST/raw",
        "the four ubyte files or their .gz",
        (54_000, 6000),
        (0.2860,),
        (0.3530,),
        "dataset-fashion-mnist",
    ),
}


def cifar10(train: str | None = None, validation: str | None = None) -> Task:
    """Return the task: 32×32 colour images in ten classes (Krizhevsky 2009)."""
    return _task("cifar10", (3, 32, 32), 10, RECIPE, train, validation)


def cifar100(train: str | None = None, validation: str | None = None) -> Task:
    """Return the task: 32×32 colour images in a hundred classes (Krizhevsky 2009)."""
    return _task("cifar100", (3, 32, 32), 100, RECIPE, train, validation)


def svhn(train: str | None = None, validation: str | None = None) -> Task:
    """Return the task: 32×32 photographs of house numbers, to find the digit in the middle (Netzer et al. 2011).

    The recipe does not mirror images, because a mirrored digit is not a digit.
    """
    return _task("svhn", (3, 32, 32), 10, RECIPE.model_copy(update={"flip": False}), train, validation)


def fashion_mnist(train: str | None = None, validation: str | None = None) -> Task:
    """Return the task: 28×28 grey images of ten kinds of clothes (Xiao et al. 2017)."""
    return _task("fashion_mnist", (1, 28, 28), 10, RECIPE, train, validation)


TASKS = {"cifar10": cifar10, "cifar100": cifar100, "svhn": svhn, "fashion_mnist": fashion_mnist}


def _task(
    name: str, input: tuple[int, ...], outputs: int, recipe: Recipe, train: str | None, validation: str | None
) -> Task:
    """Return the task. A batch is not larger than the subset. Raises TaskError if an option is not valid."""
    samples, _ = _sizes(name, outputs, DATA_SETS[name].counts, train, validation)
    recipe = recipe.model_copy(update={"batch_size": min(recipe.batch_size, samples)})
    folder = here() / os.environ.get("NAS_DATA", "data")
    load = functools.partial(_load, name, outputs, folder, train, validation)
    return Task(name, input, outputs, load, recipe=recipe)


def _sizes(
    name: str, classes: int, counts: tuple[int, int], train: str | None, validation: str | None
) -> tuple[int, int]:
    """Return how many images to train and to validate with, of the `counts` that there are for each.

    Raises TaskError if an option is not a whole number, is less than an image of each class, or more than there are.
    """
    others, held = counts
    samples = others if train is None else whole_number(train, "train", name, classes, others)
    if validation is None:
        return samples, held
    free = others - (classes if train is None else samples)
    task = name if train is None else f"{name}?train={train}"
    validated = whole_number(validation, "validation", task, classes, held + free)
    return min(samples, others + held - validated), validated


def _load(name: str, classes: int, folder: Path, train: str | None, validation: str | None) -> Splits:
    """Return the splits, each channel standardised. Raises TaskError if the files cannot be read or downloaded."""
    images, labels = _read(name, folder, 0)
    assignment = assign_in_turn(labels, HELD_OUT)
    held = int((assignment == "validation").sum())
    counts = len(labels) - held, held  # checked again, because the files may hold fewer than they should
    assignment = subset(labels, assignment, *_sizes(name, classes, counts, train, validation))
    rows = {split: assignment == split for split in ("train", "validation")}
    own = {split: Split(_standardised(name, images[mask]), labels[mask]) for split, mask in rows.items()}
    images, labels = _read(name, folder, 1)
    return Splits(**own, test=Split(_standardised(name, images), labels))


def _standardised(name: str, images: Array) -> Array:
    """Return the pixels, 0 … 255, as numbers with mean 0 and deviation 1 in each channel of the training images."""
    mean, deviation = (np.reshape(row, (-1, 1, 1)) for row in (DATA_SETS[name].mean, DATA_SETS[name].deviation))
    return np.ascontiguousarray(((images / np.float32(255) - mean) / deviation).astype(np.float32))


def _read(name: str, folder: Path, which: int) -> tuple[Array, Array]:
    """Return uint8 images (n, C, H, W) and labels (n,), of the training set (which=0) or the test set (which=1)."""
    if name == "fashion_mnist":
        return _read_fashion_mnist(folder, which)
    data = _torchvision(name, folder, which)
    if name == "svhn":  # its images are (n, C, H, W) already
        return np.asarray(data.data), np.asarray(data.labels, np.int64)
    return np.asarray(data.data).transpose(0, 3, 1, 2), np.asarray(data.targets, np.int64)


def _torchvision(name: str, folder: Path, which: int) -> Any:
    """Return torchvision's data set. It is downloaded if its folder does not exist. Raises TaskError.

    torchvision compares the checksums of CIFAR's and SVHN's files before it reads them.
    """
    from torchvision import datasets

    data_set = DATA_SETS[name]
    place = folder / data_set.place
    root = place if name == "svhn" else folder
    reader: Callable[..., Any] = getattr(datasets, data_set.reader)
    try:
        return reader(root, **data_set.arguments[which], download=not place.is_dir())
    except (OSError, RuntimeError) as error:
        raise _not_there(name, folder, type(error).__name__) from None


def _not_there(name: str, folder: Path, reason: str) -> TaskError:
    data_set = DATA_SETS[name]
    install = f"apt-get install {data_set.package}, " if data_set.package else ""
    return TaskError(
        f"task {name}: {folder / data_set.place} is not there or not whole, and cannot be fetched ({reason}): "
        f"put {data_set.files} there, {install}or set NAS_DATA"
    )


def _read_fashion_mnist(folder: Path, which: int) -> tuple[Array, Array]:
    """Read the files of the data folder or, where they are not all there, Debian's; download them if neither exists."""
    places = (folder / DATA_SETS["fashion_mnist"].place, DEBIAN)
    names = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    files = idx.find(places, names)
    if files is None:
        _torchvision("fashion_mnist", folder, which)
        files = idx.find(places, names)
    if files is None:
        raise _not_there("fashion_mnist", folder, "files are missing")
    images_file, labels_file = (files[name] for name in names[2 * which :][:2])
    images, labels = idx.images_and_labels(images_file, labels_file, (28, 28), 10)
    return images[:, None], labels
