"""Scenes of handwritten digits, 48×48 grey pixels, to be labelled pixel by pixel: background, or which digit.

Generated from scikit-learn's digits (see digits.py): in each scene two to four of different classes, scaled, turned
and placed on clutter (strokes and torn-off parts of digits, which are background, and noise). Every split draws from
the same split of the digits: those of test scenes are in no training scene. Deterministic; no download.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from nas.tasks.families import digits
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.task import Task

SIZE = 48
SCENES = {"train": 640, "validation": 160, "test": 160}
BACKGROUND, CLASSES = 0, 11  # a digit is labelled 1 + what it is
INK = 0.35  # from which darkness on a pixel belongs to its digit
SCALE, TURN = (1.6, 2.8), 0.6  # times the 8 pixels of a digit; radians to either side


def digit_scenes() -> Task:
    """48×48 scenes of digits, eleven classes a pixel."""
    recipe = Recipe(epochs=10, batch_size=16, optimizer="adamw", lr=0.01, weight_decay=0.01, label_smoothing=0.0)
    return Task("digit_scenes", (1, SIZE, SIZE), CLASSES, load, metric="mean_iou", recipe=recipe)


TASKS = {"digit_scenes": digit_scenes}


@functools.cache
def load() -> Splits:
    """The three splits, standardised by the mean and the deviation of all training pixels."""
    images, labels = digits.pixels_and_labels()
    images, part = images.reshape(-1, 8, 8) / 16, digits.parts(labels)
    scenes = {}
    for seed, (name, count) in enumerate(SCENES.items()):
        random = np.random.RandomState(seed)  # the generator whose numbers numpy has promised never to change
        pool = images[part == name], labels[part == name]
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
    """One scene (48, 48) with pixels from 0 to 1, and the label of every pixel (48, 48)."""
    canvas, places = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(3):
        _paint(canvas, _torn(images[random.randint(len(images))], random), random.uniform(4, SIZE - 4, 2), random)
        _stroke(canvas, random)
    quarters = random.permutation(4)
    for row, quarter in zip(_different(labels, random), quarters, strict=False):
        middle = SIZE / 4 + SIZE / 2 * np.array(divmod(quarter, 2)) + random.uniform(-5, 5, 2)
        ink = _paint(canvas, images[row], middle, random)
        places[ink > INK] = 1 + labels[row]
    noise = random.normal(0, 0.08, canvas.shape)
    return np.clip(canvas * random.uniform(0.7, 1) + noise, 0, 1), places


def _different(labels: Array, random: np.random.RandomState) -> Iterator[int]:
    """Rows of two to four digits, no two of a class."""
    classes = random.permutation(np.unique(labels))[: random.randint(2, 5)]
    for label in classes:
        yield int(random.choice(np.flatnonzero(labels == label)))


def _paint(canvas: Array, image: Array, middle: Array, random: np.random.RandomState) -> Array:
    """Put the image on the canvas, over what is there, scaled and turned; its ink at every pixel."""
    scale, angle = random.uniform(*SCALE), random.uniform(-TURN, TURN)
    y, x = np.mgrid[:SIZE, :SIZE] - middle[:, None, None]
    v = (np.cos(angle) * y + np.sin(angle) * x) / scale + 3.5  # back to the image's own pixels
    u = (np.cos(angle) * x - np.sin(angle) * y) / scale + 3.5
    ink = _bilinear(image, v, u)
    canvas[:] = np.maximum(canvas * (ink <= INK), ink)
    return ink


def _bilinear(image: Array, v: Array, u: Array) -> Array:
    """The image between its pixels, nothing around it."""
    padded = np.pad(image, 1)
    v, u = np.clip(v + 1, 0, 8.999), np.clip(u + 1, 0, 8.999)
    row, column = v.astype(int), u.astype(int)
    a, b = v - row, u - column
    upper = (1 - b) * padded[row, column] + b * padded[row, column + 1]
    lower = (1 - b) * padded[row + 1, column] + b * padded[row + 1, column + 1]
    return np.asarray((1 - a) * upper + a * lower)


def _torn(image: Array, random: np.random.RandomState) -> Array:
    """A part of a digit that shows no digit: three rows or columns of it."""
    part, start = np.zeros_like(image), random.randint(6)
    lines = np.s_[start : start + 3, :] if random.randint(2) else np.s_[:, start : start + 3]
    part[lines] = image[lines]
    return part


def _stroke(canvas: Array, random: np.random.RandomState) -> None:
    """A straight stroke, a pixel wide."""
    start, end = random.uniform(0, SIZE - 1, (2, 2))
    points = np.linspace(start, end, 2 * SIZE).round().astype(int)
    canvas[points[:, 0], points[:, 1]] = random.uniform(0.3, 0.9)
