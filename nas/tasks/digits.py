"""Handwritten digits, 8×8 grey pixels, ten classes: the test set of UCI's Optical Recognition of Handwritten
Digits (Alpaydin and Kaynak 1998), 1797 images that come with scikit-learn. No download.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.recipe import Recipe
from nas.tasks.task import Array, Split, Splits, Task, standardised

PATTERN = ("train", "train", "train", "validation", "test")  # what becomes of every five images of a class


def task() -> Task:
    """8×8 digits in ten classes."""
    return Task("digits", input=(1, 8, 8), outputs=10, load=load, recipe=Recipe(batch_size=64))


def load() -> Splits:
    """The three splits, standardised by the mean and the deviation of all training pixels."""
    images, labels = _read()
    part = parts(labels)
    train = images[part == "train"]
    mean, deviation = float(train.mean()), float(train.std())
    inputs = standardised(images, mean, deviation).reshape(-1, 1, 8, 8)
    return Splits(**{name: Split(inputs[part == name], labels[part == name]) for name in set(PATTERN)})


def parts(labels: Array) -> Array:
    """The split of every sample: within each class, the five places of PATTERN in turn.

    Stratified and fixed for ever: no random numbers, which a later numpy might draw differently. The images
    of one writer lie together in the file, so that every split holds every hand.
    """
    turn = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        turn[rows] = np.arange(len(rows)) % len(PATTERN)
    return np.array(PATTERN)[turn]


def _read() -> tuple[Array, Array]:
    """Pixels 0 … 16 (n, 64) and labels (n,), as sklearn.datasets.load_digits gives them.

    Read from scikit-learn's own file without importing it, which would take each process of a search seconds.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise TaskError("task digits needs scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise TaskError(f"task digits: scikit-learn has no file {path}")
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)
