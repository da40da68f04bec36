"""Files are written whole or not at all; whether one is there can be asked of any path."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write beside `path` and rename: whoever reads, and whatever is killed, the old file is there or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path


def is_file(path: Path) -> bool:
    """Return whether a file is there; a path that the file system refuses, as one that is too long, names none."""
    try:
        return path.is_file()
    except OSError:
        return False
