"""Read images and labels in the IDX format of MNIST: a magic number, the sizes, then a byte for each value.

A file may be gzipped, as torchvision downloads it and as Debian installs it: its name ends in .gz then.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nas.errors import TaskError, message_of
from nas.tasks.splits import Array

BYTES = b"\0\0\x08"  # the first bytes of a file whose values are bytes; the number of its dimensions follows
MOST = 100_000  # samples in a file: MNIST's have 60,000


def find(places: Iterable[Path], names: Iterable[str]) -> dict[str, Path] | None:
    """Return name → file in the first folder that has all of them, each as it is or else as .gz; None if none has."""
    names = list(names)
    for place in places:
        both = ((name, place / f"{name}{ending}") for name in names for ending in (".gz", ""))
        found = {name: path for name, path in both if path.is_file() and os.access(path, os.R_OK)}
        if len(found) == len(names):
            return found
    return None


def images_and_labels(images: Path, labels: Path, size: tuple[int, int], classes: int) -> tuple[Array, Array]:
    """Return uint8 images (n, H, W) and int64 labels (n,). Raises TaskError that names the file that is wrong."""
    pixels, numbers = read(images, size), read(labels, ())
    if len(numbers) != len(pixels):
        raise TaskError(f"{labels} must hold a label for each of {len(pixels)} images, but holds {len(numbers)}")
    if numbers.max() >= classes:
        row = int((numbers >= classes).argmax())
        raise TaskError(f"{labels} must hold labels 0 … {classes - 1}, but row {row} has {numbers[row]}")
    return pixels, numbers.astype(np.int64)


def read(path: Path, shape: tuple[int, ...]) -> Array:
    """Return the bytes of a file of samples of this shape, (n, *shape). Raises TaskError that names the file."""
    magic = BYTES + bytes([1 + len(shape)])
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            found, header = file.read(4), file.read(4 * magic[3]).ljust(4 * magic[3], b"\0")
            if found != magic:
                raise TaskError(f"{path} must be an IDX file and begin with {magic!r}, but begins with {found!r}")
            sizes = tuple(np.frombuffer(header, ">u4").tolist())
            if sizes[1:] != shape or not 1 <= sizes[0] <= MOST:
                wanted, got = ("×".join(map(str, size)) for size in (("n", *shape), sizes))
                raise TaskError(f"{path} must hold {wanted} bytes, n from 1 to {MOST}, but says {got}")
            content = file.read(math.prod(sizes) + 1)  # a byte more, to see whether the file ends there
    except (OSError, EOFError, zlib.error) as error:
        raise TaskError(f"{path} cannot be read: {message_of(error, 150)}") from None
    if len(content) != math.prod(sizes):
        got = "more" if len(content) > math.prod(sizes) else f"only {len(content)}"
        raise TaskError(f"{path} must hold {math.prod(sizes)} bytes after its header, but holds {got}")
    return np.frombuffer(content, np.uint8).reshape(sizes)
