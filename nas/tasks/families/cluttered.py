"""The task cluttered_digits: a handwritten digit somewhere among pieces of others, 12×12 grey pixels; no download.

One of scikit-learn's digits (see digits.py) is scaled, rotated and moved on a larger canvas, among pieces of other
digits and under noise, after the cluttered MNIST of Mnih et al. 2014 (arXiv:1406.6247). Each split of images uses the
digits of the same split, for the pieces as well, so that a digit of a test image is in no training image. The images
are deterministic.

The options train and validation say how many images there are, `cluttered_digits?train=500`; fewer images are the first
ones of more.
"""

from __future__ import annotations

import functools

import numpy as np

from nas.tasks.drawing import fragments, painted
from nas.tasks.families import digits
from nas.tasks.options import whole_number
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.standardise import standardised
from nas.tasks.task import Task

SIZE = 12
CLASSES = 10
TRAIN, VALIDATION, TEST = 2000, 4000, 4000  # the error of an accuracy of 0.85 by the choice of 4,000 images is 0.006
MOST = 20_000  # images that an option may ask for
PIECES = 2
# the numbers of an image, each drawn uniformly between two bounds: of the digit its middle (y, x), scale, rotation and
# darkness; of each piece the digit that it is of (a share of all), the first line that is kept, whether lines are rows
# (below 1) or columns, and its middle, scale, rotation and darkness; and what is added to each pixel
DIGIT = ((4, 7), (4, 7), (0.9, 1.1), (-0.1, 0.1), (0.7, 1))
PIECE = ((0, 1), (0, 6), (0, 2), (0, 11), (0, 11), (0.9, 1.1), (0, 2 * np.pi), (0.4, 0.6))
NOISE = (-0.08, 0.08)
BOUNDS = np.array((*DIGIT, *PIECES * PIECE, *SIZE * SIZE * (NOISE,)))


def cluttered_digits(train: str | None = None, validation: str | None = None) -> Task:
    """Return the task: 12×12 images in ten classes, a digit among pieces of others. Raises TaskError for an option.

    `train` and `validation` are the numbers of images.
    """
    given = {"train": (train, TRAIN), "validation": (validation, VALIDATION)}
    counts = {
        split: count if text is None else whole_number(text, split, "cluttered_digits", CLASSES, MOST)
        for split, (text, count) in given.items()
    }
    recipe = Recipe(batch_size=min(64, counts["train"]))
    load = functools.partial(_load, **counts)
    return Task("cluttered_digits", input=(1, SIZE, SIZE), outputs=CLASSES, load=load, recipe=recipe)


TASKS = {"cluttered_digits": cluttered_digits}


@functools.cache
def _load(train: int, validation: int) -> Splits:
    """Return the splits, inputs (n, 1, 12, 12) standardised by the mean and the deviation of all training pixels."""
    images, labels = digits.pixels_and_labels()
    images, assignment = images.reshape(-1, 8, 8) / 16, digits.assign(labels)
    drawn = {}
    for seed, (name, count) in enumerate({"train": train, "validation": validation, "test": TEST}.items()):
        random = np.random.RandomState(seed)  # numpy guarantees that this generator's numbers never change
        pool, classes = images[assignment == name], labels[assignment == name]
        shown = np.arange(count) % len(pool)  # in turn: every digit as often as the others
        numbers = random.uniform(BOUNDS[:, 0], BOUNDS[:, 1], (count, len(BOUNDS)))
        drawn[name] = cluttered(pool, shown, numbers), classes[shown]
    mean, deviation = drawn["train"][0].mean(), drawn["train"][0].std()
    return Splits(
        **{
            name: Split(standardised(pictures, mean, deviation)[:, None], targets)
            for name, (pictures, targets) in drawn.items()
        }
    )


def cluttered(pool: Array, shown: Array, numbers: Array) -> Array:
    """Return images (n, 12, 12) of the digits `shown` of a pool (m, 8, 8) among pieces of digits of the pool.

    numbers  (n, len(BOUNDS)), what is drawn: a row for each image, so that no image depends on how many there are
    """
    of_digit, of_pieces, noise = np.split(numbers, np.cumsum((len(DIGIT), PIECES * len(PIECE))), axis=1)
    ink = _ink(pool[shown], *of_digit.T)
    for of_piece in np.split(of_pieces, PIECES, axis=1):
        share, first, direction, *look = of_piece.T
        images = pool[(share * len(pool)).astype(int)]
        ink = np.maximum(ink, _ink(fragments(images, first.astype(int), direction < 1), *look))
    return np.asarray(ink + noise.reshape(ink.shape))


def _ink(images: Array, y: Array, x: Array, scales: Array, angles: Array, darkness: Array) -> Array:
    """Return the images (n, 8, 8) painted on canvases (n, 12, 12), each as dark as it shall be."""
    return darkness[:, None, None] * painted(images, np.stack((y, x), 1), scales, angles, SIZE)
