"""The task imagefolder:PATH: a folder of images for each class, which are read when they are needed.

If there is a folder PATH/train, its folders are the classes, and PATH/val (or validation) and PATH/test have the same
ones; a missing split is taken from the training images. Otherwise the folders in PATH are the classes, and each class
is divided by a fixed rule. Every image is scaled, and its middle cut out, to size × size pixels.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.tasks.image_files import DEVIATION, MAX_SIZE, MEAN, PathList, decoded, folders, images, squared
from nas.tasks.options import whole_number
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Splits, Stream
from nas.tasks.splitting import assign_shuffled
from nas.tasks.task import Task

# the name of a folder → its split
NAMES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


def imagefolder(path: Path, size: str = "224", classes: str = "") -> Task:
    """Return the task of a folder of images for each class.

    `size` is the height and width in pixels. `classes`, the number of classes, is counted in the folder if it is
    left out; if it is given, the folder need not exist yet. Raises TaskError if an option or the folder is not valid.
    """
    pixels = whole_number(size, "size", "imagefolder", 4, MAX_SIZE)
    count = whole_number(classes, "classes", "imagefolder", 2, 10**6) if classes else len(_classes(path))
    recipe = Recipe(epochs=30, batch_size=64, lr=0.1, flip=True, translate=max(1, pixels // 16))
    load = functools.partial(_load, path, pixels, count)
    return Task(f"imagefolder:{path}", (3, pixels, pixels), count, load, recipe=recipe)


TASKS = {"imagefolder": imagefolder}


def _classes(path: Path) -> list[str]:
    """Return the names of the classes, which are the folders of the training images."""
    inside = folders(path, "imagefolder")
    own = {folder.name: folder for folder in inside if folder.name in NAMES}
    classes = folders(own["train"], "imagefolder") if "train" in own else inside
    if len(classes) < 2:
        found = f"only {classes[0].name!r}" if classes else "none"
        place = own.get("train", path)
        raise TaskError(f"task imagefolder: {place} must hold a folder for each of two classes, but has {found}")
    return [folder.name for folder in classes]


def _load(path: Path, size: int, count: int) -> Splits:
    """List the files of every split and their classes. Raises TaskError for a class without images."""
    classes = _classes(path)
    if len(classes) != count:
        raise TaskError(f"task imagefolder: {path} must hold {count} classes, but has {len(classes)}")
    given = {NAMES[folder.name]: folder for folder in folders(path, "imagefolder") if folder.name in NAMES}
    listed = {name: _listed(folder, classes) for name, folder in given.items()} if "train" in given else {}
    files, labels = listed.pop("train") if listed else _listed(path, classes)
    assignment = assign_shuffled(labels)
    assignment[np.isin(assignment, list(listed))] = "train"  # because those splits have images of their own
    for name in ("train", "validation", "test"):
        rows = np.flatnonzero(assignment == name)
        listed.setdefault(name, ([files[row] for row in rows], labels[rows]))
    return Splits(**{name: _stream(*pair, size) for name, pair in listed.items()})


def _listed(folder: Path, classes: list[str]) -> tuple[list[Path], Array]:
    """Return the images in the folder of each class and their class numbers."""
    strange = {entry.name for entry in folders(folder, "imagefolder")} - set(classes)
    if strange:
        raise TaskError(f"task imagefolder: {folder / min(strange)} is a class without training images")
    found = [images(folder / name) for name in classes]
    for name, files in zip(classes, found, strict=True):
        if not files:
            raise TaskError(f"task imagefolder: {folder / name} holds no image")
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in found])
    return [file for files in found for file in files], labels


def _stream(files: list[Path], labels: Array, size: int) -> Stream:
    if not files:
        raise TaskError("task imagefolder: every class needs five images at least, one of them to validate with")
    return Stream(functools.partial(_read, PathList(files), labels, size), len(files), MEAN, DEVIATION)


def _read(files: PathList, labels: Array, size: int, row: int) -> tuple[Array, Array]:
    return squared(decoded(files[row], "RGB", size), size), np.asarray(labels[row])
