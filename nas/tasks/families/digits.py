"""The task digits: handwritten digits, 8×8 grey pixels, ten classes; no download.

The data is the test set of UCI's Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998), 1797 images
that come with scikit-learn.
"""

from __future__ import annotations

import numpy as np

from nas.tasks.recipe import Recipe
from nas.tasks.scikit_learn import data_file
from nas.tasks.splits import Array, Splits
from nas.tasks.splitting import FIFTHS, assign_in_turn, divide
from nas.tasks.standardise import standardised
from nas.tasks.task import Task


def digits() -> Task:
    """Return the task: 8×8 handwritten digits in ten classes."""
    return Task("digits", input=(1, 8, 8), outputs=10, load=load, recipe=Recipe(batch_size=64))


TASKS = {"digits": digits}


def load() -> Splits:
    """Return the splits, inputs (n, 1, 8, 8) standardised by the mean and the deviation of all training pixels."""
    images, labels = pixels_and_labels()
    assignment = assign(labels)
    train = images[assignment == "train"]
    mean, deviation = float(train.mean()), float(train.std())
    inputs = standardised(images, mean, deviation).reshape(-1, 1, 8, 8)
    return divide(inputs, labels, assignment)


def assign(labels: Array) -> Array:
    """Assign every sample to a split, in turn: the images of a writer are neighbours, and every split gets some."""
    return assign_in_turn(labels, FIFTHS)


def pixels_and_labels() -> tuple[Array, Array]:
    """Return pixels 0 … 16 (n, 64) and labels (n,), the same as sklearn.datasets.load_digits."""
    table = np.loadtxt(data_file("digits", "digits.csv.gz"), delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)
