"""Find images in folders, and decode and scale one at a time. PIL is imported late."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import TaskError, message_of
from nas.tasks.data_files import checked_folder, files_below
from nas.tasks.splits import Array

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # without this list PIL would try forty decoders more
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training images, each channel
MAX_SIZE = 4096


class PathList:
    """A long list of paths in one block of bytes.

    In a list of Python objects every reference count changes when it is read, and so each loader worker would
    gradually copy the whole list into its own memory.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._bytes = np.array([bytes(path) for path in paths])

    def __len__(self) -> int:
        return len(self._bytes)

    def __getitem__(self, row: int) -> Path:
        return Path(bytes(self._bytes[row]).decode("utf-8", "surrogateescape"))


def folders(path: Path, task: str) -> list[Path]:
    """Return the folders in `path`, sorted, without hidden ones. Raises TaskError if `path` is not a folder."""
    inside = checked_folder(path).iterdir()
    return sorted(entry for entry in inside if entry.is_dir() and not entry.name.startswith("."))


def images(folder: Path) -> list[Path]:
    """Return the images in `folder` and in all folders below it, sorted."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in SUFFIXES)


def decoded(path: Path, mode: str | None, near: int | None = None) -> Image:
    """Decode an image file, converted to `mode` ("RGB"; None: as it is).

    With `near` a JPEG may be decoded at an eighth, a quarter or half of its size, at least `near` pixels wide and
    high, which takes less time. Raises TaskError that names the file.
    """
    with _opened(path) as file:
        if mode == "RGB" and near:
            file.draft("RGB", (near, near))
        return file.convert(mode) if mode else file.copy()


def dimensions(path: Path) -> tuple[int, int]:
    """Return the width and the height of an image file, by its header. Raises TaskError that names the file."""
    with _opened(path) as file:
        return file.size


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """Open an image file, and raise TaskError, which names the file, for whatever PIL raises meanwhile.

    An image of so many pixels that PIL warns of it is refused: a few kilobytes can become gigabytes.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                yield file
    except FileNotFoundError:
        raise TaskError(f"{path}: there is no such file any more") from None
    except Exception as error:  # noqa: BLE001  # a damaged file makes PIL raise anything
        reason = message_of(error, 150) or type(error).__name__
        raise TaskError(f"{path} cannot be read as an image: {reason}") from None


def squared(image: Image, size: int) -> Array:
    """Return uint8 (3, size, size): the shorter side scaled to `size`, the middle of the longer side cut out."""
    from PIL import Image

    scale = size / min(image.size)
    wide, high = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((wide, high), Image.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = (wide - size) // 2, (high - size) // 2
    pixels = np.asarray(image.crop((left, top, left + size, top + size)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
