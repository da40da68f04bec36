"""Temporary folders of this program: each is removed in the end, whatever becomes of the process."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX, LOCK = "nas-", ".used"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new temporary folder and remove it in the end; before and after, remove those of killed processes.

    A process holds a lock in its folder, which the operating system releases when it dies.
    """
    _remove_abandoned()
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            with (folder / f"{LOCK}.new").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                (folder / f"{LOCK}.new").rename(folder / LOCK)  # locked from the moment that another can see it
                yield folder
    finally:
        _remove_abandoned()


def _remove_abandoned() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open() as file:  # BlockingIOError: it is being used
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
