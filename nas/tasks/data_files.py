"""Check files and folders of data before they are read: what they are, and how much they would become in memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from nas.errors import TaskError, message_of, quoted
from nas.tasks.here import here

KINDS = {  # what the file system calls a file that holds no data
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
MOST_FILES = 20_000_000  # in a folder: ImageNet-21k has 14 million
UNPACK: dict[str, Callable[[Path], IO[bytes]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: ignore[dict-item]
MOST_UNPACKED = 100  # times the size of a packed file; a text shrinks to a tenth
SMALL = 2**26  # bytes that may always be unpacked


def user_path(word: str, task: str) -> Path:
    """Return the path that a user wrote, perhaps with ~; a relative one is in nas.tasks.here.here().

    Raises TaskError if there is no such home folder.
    """
    try:
        return here() / Path(word).expanduser()
    except (RuntimeError, OSError) as error:
        raise TaskError(f"task {task}: {quoted(word, 200)} is no path: {message_of(error)}") from None


def checked_file(path: Path) -> Path:
    """Return the path if a file of data is there that can be read. Raises TaskError, which says what is there."""
    found = _stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise TaskError(f"{path} must be a file, but is {KINDS.get(stat.S_IFMT(found.st_mode), 'none')}")
    if not os.access(path, os.R_OK):
        raise TaskError(f"{path} cannot be read: permission denied")
    if not found.st_size:
        raise TaskError(f"{path} is empty")
    return path


def checked_folder(path: Path) -> Path:
    """Return the path if a folder of data is there that can be read. Raises TaskError, which says what is there."""
    found = _stat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise TaskError(f"{path} must be a folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise TaskError(f"{path} cannot be read: permission denied")
    if path.resolve() == Path(path.anchor):
        raise TaskError(f"{path} must be a folder of data, but is the root of the file system")
    return path


def is_folder(path: Path) -> bool:
    """Return whether a folder is there, and not something else. Raises TaskError if nothing is."""
    return stat.S_ISDIR(_stat(path).st_mode)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in `folder` and in all folders below it. Raises TaskError if there are too many to be data."""
    for number, path in enumerate(folder.rglob("*")):
        if number >= MOST_FILES:
            raise TaskError(f"{folder} must hold at most {MOST_FILES:,} files")
        if path.is_file():
            yield path


def memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits(size: int, path: Path) -> None:
    """Raise TaskError if so many bytes of data exceed the memory of this machine."""
    if size > memory():
        raise TaskError(f"{path} would become {size:,} bytes, more than the memory of this machine ({memory():,})")


def unpacked(path: Path) -> io.BytesIO | Path:
    """Return the content of a packed file, or the path of one that is not packed.

    Raises TaskError if it is damaged, or if it would become far larger than data is that was packed.
    """
    most = max(SMALL, min(MOST_UNPACKED * path.stat().st_size, memory() // 4))
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                [name] = archive.namelist()
                content = archive.open(name).read(most + 1)
        elif path.suffix in UNPACK:
            with UNPACK[path.suffix](path) as file:
                content = file.read(most + 1)
        else:
            return path
    except Exception as error:  # noqa: BLE001  # each of the four libraries has errors of its own
        raise TaskError(f"{path} cannot be unpacked: {message_of(error, 150) or type(error).__name__}") from None
    if len(content) > most:
        raise TaskError(f"{path} must hold at most {most:,} bytes when it is unpacked, but holds more")
    return io.BytesIO(content)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise TaskError(f"there is no file or folder {path}") from None
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise TaskError(f"{quoted(str(path), 200)} cannot be read: {reason}") from None
