"""Files in the IDX format: plain or gzipped, and what is not one is one clear line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nas.errors import TaskError
from nas.tasks import idx

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([2, 0, 1], np.uint8)


def encoded(array: np.ndarray, sizes: tuple[int, ...] | None = None) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(sizes or array.shape, ">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_images_and_labels(tmp_path: Path, ending: str) -> None:
    paths = tmp_path / f"images-ubyte{ending}", tmp_path / f"labels-ubyte{ending}"
    for path, array in zip(paths, (IMAGES, LABELS), strict=True):
        path.write_bytes(gzip.compress(encoded(array)) if ending else encoded(array))
    images, labels = idx.images_and_labels(*paths, size=(4, 5), classes=3)
    assert images.dtype == np.uint8 and np.array_equal(images, IMAGES)
    assert labels.dtype == np.int64 and labels.tolist() == [2, 0, 1]


def test_all_files_are_taken_from_one_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ("a",)), (second, ("a", "a.gz", "b.gz"))):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    places = tmp_path / "none", first, second
    assert idx.find(places, "ab") == {"a": second / "a", "b": second / "b.gz"}
    assert idx.find(places, "a") == {"a": first / "a"}
    assert idx.find(places, "abc") is None


GOOD = encoded(IMAGES)
ZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        ("", b"", r"must be an IDX file and begin with .*x03', but begins with b''"),
        ("", b"<!DOCTYPE html>", r"but begins with b'<!DO'"),
        ("", encoded(LABELS), r"must be an IDX file"),
        ("", b"\0\0\x0d\3" + GOOD[4:], r"must be an IDX file"),  # floats
        ("", GOOD[:9], r"must hold n×4×5 bytes, n from 1 to 100000, but says 3×0×0$"),
        ("", encoded(IMAGES, (3, 5, 4)), r"but says 3×5×4$"),
        ("", encoded(IMAGES, (2**32 - 1, 4, 5)), r"but says 4294967295×4×5$"),
        ("", encoded(IMAGES[:0], (0, 4, 5)), r"but says 0×4×5$"),
        ("", GOOD[:-1], r"must hold 60 bytes after its header, but holds only 59$"),
        ("", GOOD + b"\0", r"must hold 60 bytes after its header, but holds more$"),
        (".gz", gzip.compress(GOOD + bytes(10**6), mtime=0), r"but holds more$"),
        (".gz", GOOD, r"cannot be read: Not a gzipped file"),
        (".gz", ZIPPED[:-12], r"cannot be read: Compressed file ended"),
        (".gz", ZIPPED[:10] + b"\xff" + ZIPPED[11:], r"cannot be read: Error -3 while decompressing"),
        (".gz", ZIPPED[:-8] + bytes(8), r"cannot be read: CRC check failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_one_line(tmp_path: Path, ending: str, content: bytes, said: str) -> None:
    path = tmp_path / f"images-ubyte{ending}"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=said) as caught:
        idx.read(path, (4, 5))
    assert str(caught.value).startswith(f"{path} ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([2, 0], r"labels-ubyte must hold a label for each of 3 images, but holds 2$"),
        ([2, 0, 3], r"labels-ubyte must hold labels 0 … 2, but row 2 has 3$"),
        (None, r"labels-ubyte cannot be read: .*No such file"),
    ],
)
def test_labels_must_fit_the_images(tmp_path: Path, labels: list[int] | None, said: str) -> None:
    paths = tmp_path / "images-ubyte", tmp_path / "labels-ubyte"
    paths[0].write_bytes(GOOD)
    if labels is not None:
        paths[1].write_bytes(encoded(np.array(labels, np.uint8)))
    with pytest.raises(TaskError, match=said):
        idx.images_and_labels(*paths, size=(4, 5), classes=3)


def test_a_header_cut_off_before_its_sizes(tmp_path: Path) -> None:
    (tmp_path / "labels-ubyte").write_bytes(encoded(LABELS)[:4])
    with pytest.raises(TaskError, match=r"must hold n bytes, n from 1 to 100000, but says 0$"):
        idx.read(tmp_path / "labels-ubyte", ())
