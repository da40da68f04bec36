"""imagefolder:PATH: a folder for each class, of any number of images that are read as they are needed.

PATH/train/<class>, PATH/val (or validation) and PATH/test if there are such folders; what is missing is held out of
the training images. Otherwise PATH/<class>, divided by class. Every image is scaled and cut to size × size pixels.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.tasks.files import DEVIATION, MAX_SIZE, MEAN, Paths, decoded, folders, images, squared, whole
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Splits, Stream
from nas.tasks.splitting import shuffled_turns
from nas.tasks.task import Task

NAMES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


def imagefolder(path: Path, size: str = "224", classes: str = "") -> Task:
    """Images in a folder for each class, scaled to size × size pixels; with `classes` the folder may come later."""
    pixels = whole(size, "size", "imagefolder", 4, MAX_SIZE)
    count = whole(classes, "classes", "imagefolder", 2, 10**6) if classes else len(_classes(path))
    recipe = Recipe(epochs=30, batch_size=64, lr=0.1, flip=True, translate=max(1, pixels // 16))
    load = functools.partial(_load, path, pixels, count)
    return Task(f"imagefolder:{path}", (3, pixels, pixels), count, load, recipe=recipe)


TASKS = {"imagefolder": imagefolder}


def _classes(path: Path) -> list[str]:
    """The names of the classes: those of the training images."""
    inside = folders(path, "imagefolder")
    own = {folder.name: folder for folder in inside if folder.name in NAMES}
    classes = folders(own["train"], "imagefolder") if "train" in own else inside
    if len(classes) < 2:
        found = f"only {classes[0].name!r}" if classes else "none"
        place = own.get("train", path)
        raise TaskError(f"task imagefolder: {place} must hold a folder for each of two classes, but has {found}")
    return [folder.name for folder in classes]


def _load(path: Path, size: int, count: int) -> Splits:
    """The files of every split and their classes. Raises TaskError for a class without images."""
    classes = _classes(path)
    if len(classes) != count:
        raise TaskError(f"task imagefolder: {path} must hold {count} classes, but has {len(classes)}")
    given = {NAMES[folder.name]: folder for folder in folders(path, "imagefolder") if folder.name in NAMES}
    parts = {name: _listed(folder, classes) for name, folder in given.items()} if "train" in given else {}
    files, labels = parts.pop("train") if parts else _listed(path, classes)
    turns = shuffled_turns(labels)
    turns[np.isin(turns, list(parts))] = "train"  # its own images are there
    for name in ("train", "validation", "test"):
        rows = np.flatnonzero(turns == name)
        parts.setdefault(name, ([files[row] for row in rows], labels[rows]))
    return Splits(**{name: _stream(*part, size) for name, part in parts.items()})


def _listed(folder: Path, classes: list[str]) -> tuple[list[Path], Array]:
    """The images below `folder` and their classes."""
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
    return Stream(functools.partial(_read, Paths(files), labels, size), len(files), MEAN, DEVIATION)


def _read(files: Paths, labels: Array, size: int, row: int) -> tuple[Array, Array]:
    return squared(decoded(files[row], "RGB", size), size), np.asarray(labels[row])
