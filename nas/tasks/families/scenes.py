"""The task digit_scenes: generated scenes of handwritten digits, 48×48 grey pixels; no download.

Each pixel is to be classified: background, or which digit it belongs to. A scene holds two to four of scikit-learn's
digits (see digits.py), all of different classes, scaled, rotated and placed on clutter: strokes, fragments of digits
and noise, which are background. Each split of scenes uses the digits of the same split, so that a digit of a test
scene is in no training scene. The scenes are deterministic.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from nas.tasks.drawing import fragments, painted
from nas.tasks.families import digits
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.task import Task

SIZE = 48
SCENES = {"train": 640, "validation": 160, "test": 160}
BACKGROUND, CLASSES = 0, 11  # the pixels of digit d have the label 1 + d
INK = 0.35  # a pixel belongs to a digit if it is darker than this
SCALE = (1.6, 2.8)  # smallest and largest size of a digit, in multiples of 8 pixels
TURN = 0.6  # largest rotation to either side, in radians


def digit_scenes() -> Task:
    """Return the task: 48×48 scenes of digits, eleven classes for each pixel."""
    recipe = Recipe(epochs=10, batch_size=16, optimizer="adamw", lr=0.01, weight_decay=0.01, label_smoothing=0.0)
    return Task("digit_scenes", (1, SIZE, SIZE), CLASSES, load, metric="mean_iou", recipe=recipe)


TASKS = {"digit_scenes": digit_scenes}


@functools.cache
def load() -> Splits:
    """Return the splits, standardised by the mean and the deviation of all training pixels; targets (n, 48, 48)."""
    images, labels = digits.pixels_and_labels()
    images, assignment = images.reshape(-1, 8, 8) / 16, digits.assign(labels)
    scenes = {}
    for seed, (name, count) in enumerate(SCENES.items()):
        random = np.random.RandomState(seed)  # numpy guarantees that this generator's numbers never change
        pool = images[assignment == name], labels[assignment == name]
        drawn = [scene(*pool, random) for _ in range(count)]
        scenes[name] = tuple(map(np.stack, zip(*drawn, strict=True)))
    mean, deviation = scenes["train"][0].mean(), scenes["train"][0].std()
    return Splits(
        **{
            name: Split(((canvas - mean) / deviation).astype(np.float32)[:, None], targets)
            for name, (canvas, targets) in scenes.items()
        }
    )


def scene(images: Array, labels: Array, random: np.random.RandomState) -> tuple[Array, Array]:
    """Draw one scene (48, 48) with pixels from 0 to 1; return it and the label of every pixel (48, 48)."""
    canvas, places = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(3):
        _paint(canvas, _fragment(images[random.randint(len(images))], random), random.uniform(4, SIZE - 4, 2), random)
        _stroke(canvas, random)
    quarters = random.permutation(4)
    for row, quarter in zip(_different(labels, random), quarters, strict=False):
        middle = SIZE / 4 + SIZE / 2 * np.array(divmod(quarter, 2)) + random.uniform(-5, 5, 2)
        ink = _paint(canvas, images[row], middle, random)
        places[ink > INK] = 1 + labels[row]
    noise = random.normal(0, 0.08, canvas.shape)
    return np.clip(canvas * random.uniform(0.7, 1) + noise, 0, 1), places


def _different(labels: Array, random: np.random.RandomState) -> Iterator[int]:
    """Yield the rows of two to four random digits of different classes."""
    classes = random.permutation(np.unique(labels))[: random.randint(2, 5)]
    for label in classes:
        yield int(random.choice(np.flatnonzero(labels == label)))


def _paint(canvas: Array, image: Array, middle: Array, random: np.random.RandomState) -> Array:
    """Draw the image over the canvas, scaled and rotated at random; return its darkness at every pixel (48, 48)."""
    scale, angle = random.uniform(*SCALE, 1), random.uniform(-TURN, TURN, 1)
    (ink,) = painted(image[None], middle[None], scale, angle, SIZE)
    canvas[:] = np.maximum(canvas * (ink <= INK), ink)
    return np.asarray(ink)


def _fragment(image: Array, random: np.random.RandomState) -> Array:
    """Return three rows or three columns of the image; the rest is 0."""
    first, rows = random.randint(6, size=1), random.randint(2, size=1) > 0
    return np.asarray(fragments(image[None], first, rows)[0])


def _stroke(canvas: Array, random: np.random.RandomState) -> None:
    """Draw a straight stroke on the canvas, one pixel wide."""
    start, end = random.uniform(0, SIZE - 1, (2, 2))
    points = np.linspace(start, end, 2 * SIZE).round().astype(int)
    canvas[points[:, 0], points[:, 1]] = random.uniform(0.3, 0.9)
