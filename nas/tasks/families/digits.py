"""Handwritten digits, 8×8 grey pixels, ten classes: the test set of UCI's Optical Recognition of Handwritten
Digits (Alpaydin and Kaynak 1998), 1797 images that come with scikit-learn. No download.
"""

from __future__ import annotations

import numpy as np

from nas.tasks.recipe import Recipe
from nas.tasks.scikit_learn import data_file
from nas.tasks.splits import Array, Splits
from nas.tasks.splitting import FIFTHS, divided, in_turn
from nas.tasks.task import Task, standardised


def digits() -> Task:
    """8×8 digits in ten classes."""
    return Task("digits", input=(1, 8, 8), outputs=10, load=load, recipe=Recipe(batch_size=64))


TASKS = {"digits": digits}


def load() -> Splits:
    """The three splits, standardised by the mean and the deviation of all training pixels."""
    images, labels = pixels_and_labels()
    part = parts(labels)
    train = images[part == "train"]
    mean, deviation = float(train.mean()), float(train.std())
    inputs = standardised(images, mean, deviation).reshape(-1, 1, 8, 8)
    return divided(inputs, labels, part)


def parts(labels: Array) -> Array:
    """The split of every sample. The images of one writer lie together in the file: every split holds every hand."""
    return in_turn(labels, FIFTHS)


def pixels_and_labels() -> tuple[Array, Array]:
    """Pixels 0 … 16 (n, 64) and labels (n,), as sklearn.datasets.load_digits gives them."""
    table = np.loadtxt(data_file("digits", "digits.csv.gz"), delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)
