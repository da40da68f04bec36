"""Pack a folder that travels to a cluster: space files, the user's code, small data."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nas.errors import RunError

LIMIT = 100 * 2**20  # bytes: the job API of Ray takes no more
LEFT_OUT = ("__pycache__", "node_modules", "runs", "wandb", "mlruns", "mlflow", "dist", "build")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same files make the same package, which Ray keeps and does not take again


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the regular files of a folder in a fixed order.

    Hidden files, caches, runs, virtual environments and installed packages are left out, and linked folders.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _travels(Path(place) / name))
        yield from (path for name in sorted(names) if name[0] != "." and (path := Path(place) / name).is_file())


def _travels(folder: Path) -> bool:
    name = folder.name
    is_environment = (folder / "pyvenv.cfg").exists()
    return not (name[0] == "." or name in LEFT_OUT or name.endswith(".egg-info") or is_environment)


def pack(folder: Path, target: Path) -> None:
    """Write the files of the folder into the ZIP file `target`.

    Raises RunError if they are more than LIMIT bytes, with what is largest, or if one cannot be read.
    """
    sizes: Counter[str] = Counter()
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
            for path in files_of(folder):
                name = path.relative_to(folder)
                sizes[name.parts[0]] += path.stat().st_size
                if sizes.total() > LIMIT:
                    raise RunError(_too_large(folder, sizes))
                entry = zipfile.ZipInfo(name.as_posix(), LONG_AGO)
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                package.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise RunError(f"{error.filename or folder} cannot be sent: {error.strerror}") from None


def _too_large(folder: Path, sizes: Counter[str]) -> str:
    largest = ", ".join(f"{name} ({size / 2**20:.0f} MiB)" for name, size in sizes.most_common(3))
    return (
        f"{folder} has more than {LIMIT / 2**20:.0f} MiB to send, the most in {largest}: name with --folder one that "
        "has the space and its code alone, and data by an absolute path, which every node of the cluster has"
    )
