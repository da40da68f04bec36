"""Data is checked before it is read: what is no data, or would fill the memory, is one line that names it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nas import tasks
from nas.errors import TaskError
from nas.results import table
from nas.tasks import data_files, idx


def complaint(name: str) -> str:
    """Return the line with which a task, or its data, is refused."""
    with pytest.raises(TaskError) as caught:
        tasks.get(name).load()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


NO_DATA: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "there is no file or folder"),
    "pipe": (os.mkfifo, "must be a file, but is a pipe"),
    "socket": (socket_at, "must be a file, but is a socket"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "must be a file, but is a device"),
    "folder": (Path.mkdir, "must be a file, but is a folder"),
    "loop": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "empty": (Path.touch, "is empty"),
}


@pytest.mark.parametrize("kind", NO_DATA)
@pytest.mark.parametrize("family", ["csv", "parquet", "npz", "text", "table"])
def test_what_is_no_file_of_data_is_called_by_its_name(
    kind: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = NO_DATA[kind]
    make(tmp_path / "data")
    if family == "table":
        with pytest.raises(TaskError, match=said):
            table.read(tmp_path / "data", tasks.get("digits"))
    elif (kind, family) != ("folder", "text"):
        assert said in complaint(f"{family}:{tmp_path}/data")


@pytest.mark.parametrize("family", ["csv", "npz", "text", "imagefolder", "masks"])
def test_a_path_that_is_none(family: str) -> None:
    assert "is no path" in complaint(f"{family}:~nobody_of_this_name/data")
    assert "cannot be read: embedded null byte" in complaint(f"{family}:/tmp/a\0b")
    assert "cannot be read: " in complaint(f"{family}:/tmp/{'x' * 5000}")


@pytest.mark.parametrize("family", ["text", "imagefolder", "masks"])
def test_the_root_of_the_file_system_is_no_folder_of_data(family: str) -> None:
    assert "is the root of the file system" in complaint(f"{family}:/")
    assert "is the root of the file system" in complaint(f"{family}:/usr/..")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_must_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch(mode=0)
    assert "permission denied" in complaint(f"csv:{tmp_path}/data")


def test_a_loop_of_folders_ends(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "again").symlink_to(tmp_path)
    assert "holds no image" in complaint(f"imagefolder:{tmp_path}")


# ------------------------------------------------------------------------------------------------------------- arrays


def member(shape: tuple[int, ...], dtype: str = "<f8", content: bytes = b"") -> bytes:
    """Return an .npy file whose header promises something."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (member((2**60, 8)), "x.npy must be as large as its header says, [1152921504606846976, 8] of float64"),
        (member((10**30,)), "x.npy must be as large as its header says"),
        (member((-1,)), "cannot be read as npz"),
        (member((1,), "|O", b"12345678"), "x.npy holds objects"),
        (member((3,), "<f8", b"0" * 23), "x.npy must be as large as its header says"),
        (b"\x93NUMPY\x09\x00", "x.npy has version (9, 0)"),
        (b"", "cannot be read as npz"),
    ],
)
def test_a_header_that_promises_something_else(x: bytes, said: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", member((1,), "<i8", b"\0" * 8))
    assert said in complaint(f"npz:{tmp_path}/a.npz")


def test_arrays_that_are_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, 2)))
    assert "the file that numpy.savez writes: File is not a zip file" in complaint(f"npz:{tmp_path}/a.npy")
    np.savez(tmp_path / "b.npz", x=np.zeros((5, 2)), y=np.arange(4))
    assert "y must be numbers with as many rows as x" in complaint(f"npz:{tmp_path}/b.npz")


def test_arrays_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 1000)), y=np.arange(1000))
    monkeypatch.setattr(data_files, "memory", lambda: 10**6)
    assert "a.npz would become 8,008,256 bytes, more than the memory of this machine" in complaint(
        f"npz:{tmp_path}/a.npz"
    )


# ------------------------------------------------------------------------------------------------------------- tables


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", content)
    return file.getvalue()


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}


@pytest.mark.parametrize("ending", PACK)
def test_a_packed_table_is_unpacked_unless_it_is_a_bomb(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.csv.{ending}"
    rows = "".join(f"{number},{number % 2}\n" for number in range(50))
    path.write_bytes(PACK[ending](f"a,b\n{rows}".encode()))
    assert len(tasks.get(f"csv:{path}?target=b").load().train) == 30
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be unpacked" in complaint(f"csv:{path}?target=b")
    monkeypatch.setattr(data_files, "SMALL", 1000)
    path.write_bytes(PACK[ending](b"0" * 10**6))
    assert "bytes when it is unpacked, but holds more" in complaint(f"csv:{path}?target=b")


def test_a_table_of_very_many_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(map(str, range(20_000))) + "\n" + ",".join(["1"] * 20_000))
    assert "at most 10,000 columns, but has 20,000" in complaint(f"csv:{tmp_path}/a.csv?target=1")


def test_a_parquet_file_of_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": [[1], [2]], "b": [1, 2]}).to_parquet(path)
    assert "column 'a' must hold numbers or words, but holds list" in complaint(f"parquet:{path}?target=b")
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as parquet" in complaint(f"parquet:{path}?target=b")


# ------------------------------------------------------------------------------------------------------------- images


def huge_png(side: int) -> bytes:
    """Return a PNG of a few bytes whose header promises side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Five images and masks of two classes, 8×8."""
    for number in range(5):
        for name in ("images", "masks"):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 2).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("where", "content", "said"),
    [
        ("images", huge_png(12_000), "3.png cannot be read as an image: Image size (144000000 pixels) exceeds limit"),
        ("masks", huge_png(40_000), "3.png cannot be read as an image: Image size (1600000000 pixels) exceeds limit"),
        ("masks", huge_png(2**31 - 1), "3.png cannot be read as an image"),
        ("masks", huge_png(8)[:50], "3.png cannot be read as an image"),
        ("images", b"GIF89a", "3.png cannot be read as an image"),
        ("images", b"", "3.png cannot be read as an image"),
    ],
)
def test_an_absurd_image_is_one_line(pairs: Path, where: str, content: bytes, said: str) -> None:
    (pairs / where / "3.png").write_bytes(content)
    assert said in complaint(f"masks:{pairs}?size=8")


def test_masks_of_other_sizes_and_labels(pairs: Path) -> None:
    assert tasks.get(f"masks:{pairs}?size=8").outputs == 2
    Image.fromarray(np.full((8, 8), 700, np.uint16)).save(pairs / "masks" / "3.png")
    assert "the masks must hold classes 0 … 254 and 255, but hold 700" in complaint(f"masks:{pairs}?size=8")
    Image.fromarray(np.zeros((4, 9), np.uint8)).save(pairs / "masks" / "3.png")
    assert "must be of its image's size 8×8, but is 9×4" in complaint(f"masks:{pairs}?size=8")


def test_a_pipe_in_the_place_of_an_idx_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.gz")
    assert idx.find([tmp_path], ["labels"]) is None
