"""The tasks masks:PATH and pets: images, and the class of every pixel.

PATH/images holds the images; PATH/masks holds for each a PNG of the same name and size, whose values are the classes
0, 1, …; 255 is unlabelled, as in PASCAL VOC. Both are scaled to size × size pixels, masks by the nearest neighbour.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.tasks.data_files import checked_folder
from nas.tasks.here import here
from nas.tasks.image_files import DEVIATION, MAX_SIZE, MEAN, PathList, decoded, dimensions, images
from nas.tasks.options import whole_number
from nas.tasks.recipe import Recipe
from nas.tasks.splits import UNLABELLED, Array, Splits, Stream
from nas.tasks.splitting import assign_shuffled
from nas.tasks.task import Task

VOID = 255  # the value of unlabelled pixels in a mask
PETS = "oxford-iiit-pet"
RECIPE = Recipe(epochs=30, batch_size=16, optimizer="adamw", lr=3e-3, weight_decay=0.01, label_smoothing=0.0, flip=True)


def masks(path: Path, size: str = "256", classes: str = "") -> Task:
    """Return the task of the images and masks in a folder.

    `size` is the height and width in pixels, `classes` the number of classes; if it is left out, every mask is read to
    find the largest class. Raises TaskError if an option or the folder is not valid.
    """
    pixels = whole_number(size, "size", "masks", 4, MAX_SIZE)
    files = _pairs(path)
    count = whole_number(classes, "classes", "masks", 2, VOID) if classes else _count(files)
    load = functools.partial(_load, path, pixels, count)
    return Task(f"masks:{path}", (3, pixels, pixels), count, load, metric="mean_iou", recipe=RECIPE)


def pets() -> Task:
    """Return the task: photographs of cats and dogs, 128 × 128 pixels, each pixel an animal, background or edge.

    The Oxford-IIIT Pet Dataset (Parkhi et al. 2012), in the folder NAS_DATA or data.
    """
    folder = here() / os.environ.get("NAS_DATA", "data")
    return Task("pets", (3, 128, 128), 3, functools.partial(_load_pets, folder), metric="mean_iou", recipe=RECIPE)


TASKS = {"masks": masks, "pets": pets}


def _pairs(path: Path) -> list[tuple[Path, Path]]:
    """Return every image with its mask, sorted. Raises TaskError if a mask is missing or there are too few images."""
    checked_folder(path)
    for name in ("images", "masks"):
        if not (path / name).is_dir():
            raise TaskError(f"task masks: {path} must hold the folders images and masks, but has no {name}")
        checked_folder(path / name)
    labels = {mask.stem: mask for mask in images(path / "masks")}
    pairs = []
    for image in images(path / "images"):
        if image.stem not in labels:
            raise TaskError(f"task masks: {image} has no mask {path / 'masks' / image.stem}.png")
        pairs.append((image, labels[image.stem]))
    if len(pairs) < 5:
        raise TaskError(f"task masks: {path / 'images'} must hold five images at least, but has {len(pairs)}")
    return pairs


def _count(pairs: list[tuple[Path, Path]]) -> int:
    """Return the number of classes: one more than the largest label of all masks."""
    present = set()
    for image, mask in pairs:
        present |= set(np.unique(_labels(image, mask)).tolist())
    present.discard(VOID)
    if len(present) < 2:
        raise TaskError(f"task masks: the masks must hold two classes, but all are of {sorted(present) or 'none'}")
    if max(present) > VOID:
        raise TaskError(f"task masks: the masks must hold classes 0 … {VOID - 1} and {VOID}, but hold {max(present)}")
    return int(max(present)) + 1


def _labels(image: Path, mask: Path) -> Array:
    """Return the mask (H, W). Raises TaskError unless it holds integers and has the size of its image."""
    labels = np.asarray(decoded(mask, None))
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise TaskError(f"{mask} must have one whole number a pixel (a palette or grey PNG), but is {labels.shape}")
    wide, high = dimensions(image)
    if labels.shape != (high, wide):
        raise TaskError(f"{mask} must be of its image's size {wide}×{high}, but is {labels.shape[1]}×{labels.shape[0]}")
    return labels


def _load(path: Path, size: int, classes: int) -> Splits:
    pairs = _pairs(path)
    assignment = assign_shuffled(np.zeros(len(pairs)))
    rows = {name: np.flatnonzero(assignment == name) for name in ("train", "validation", "test")}
    return Splits(**{name: _stream([pairs[row] for row in own], size, classes) for name, own in rows.items()})


def _load_pets(folder: Path) -> Splits:
    """Return the splits: test holds the authors' test images, validation a fifth of the others, stratified by breed."""
    root = folder / PETS
    _fetch_pets(folder)
    pairs, breeds = {}, {}
    for name in ("trainval", "test"):
        lines = (root / "annotations" / f"{name}.txt").read_text().splitlines()
        rows = [line.split() for line in lines if line.strip()]
        trimaps = root / "annotations" / "trimaps"
        pairs[name] = [(root / "images" / f"{row[0]}.jpg", trimaps / f"{row[0]}.png") for row in rows]
        try:
            breeds[name] = np.array([int(row[1]) for row in rows])
        except (IndexError, ValueError):
            raise TaskError(
                f"task pets: {root / 'annotations' / name}.txt must hold IMAGE CLASS … in each line"
            ) from None
    held = assign_shuffled(breeds["trainval"]) == "validation"
    streams = {"train": np.flatnonzero(~held), "validation": np.flatnonzero(held)}
    own = {name: _stream([pairs["trainval"][row] for row in rows], 128, 3, shift=1) for name, rows in streams.items()}
    return Splits(**own, test=_stream(pairs["test"], 128, 3, shift=1))


def _fetch_pets(folder: Path) -> None:
    """Check the files of the data set; download them if their folder does not exist. Raises TaskError."""
    from torchvision.datasets import OxfordIIITPet

    try:
        OxfordIIITPet(folder, target_types="segmentation", download=not (folder / PETS).is_dir())
    except (OSError, RuntimeError) as error:
        raise TaskError(
            f"task pets: {folder / PETS} is not there or not whole, and cannot be fetched ({type(error).__name__}): "
            f"unpack images.tar.gz and annotations.tar.gz of the Oxford-IIIT Pet Dataset there, or set NAS_DATA"
        ) from None


def _stream(pairs: list[tuple[Path, Path]], size: int, classes: int, shift: int = 0) -> Stream:
    files, labels = (PathList(column) for column in zip(*pairs, strict=True))
    return Stream(functools.partial(_read, files, labels, size, classes, shift), len(pairs), MEAN, DEVIATION)


def _read(files: PathList, masks: PathList, size: int, classes: int, shift: int, row: int) -> tuple[Array, Array]:
    """Return image `row` (3, size, size) and its labels (size, size), which are `shift` less than in the file."""
    from PIL import Image

    labels = _labels(files[row], masks[row])
    wrong = ((labels < shift) | (labels >= classes + shift)) & (labels != VOID)
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        allowed = f"{shift} … {classes + shift - 1}, or {VOID} for none"
        raise TaskError(f"{masks[row]} must have labels {allowed}, but has {labels[y, x]} in row {y}, column {x}")
    image = decoded(files[row], "RGB").resize((size, size), Image.Resampling.BILINEAR)
    small = Image.fromarray(labels.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)
    scaled = np.asarray(small).astype(np.int16)
    pixels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    return pixels, np.where(scaled == VOID, UNLABELLED, scaled - shift).astype(np.int16)
