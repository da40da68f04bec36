"""The folder that relative paths of the user are relative to."""

from __future__ import annotations

import os
from pathlib import Path

COPIED = "NAS_FOLDER_IS_COPIED"  # set where every process of a search runs in a copy of one folder: by `nas submit`


def here() -> Path:
    """Return the current folder, absolute, so that a path in it means the same in other processes and later.

    Where every process runs in a copy of one folder, each in another place, it is Path(): paths in it stay relative.
    """
    return Path() if os.environ.get(COPIED) else Path.cwd()
