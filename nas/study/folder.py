"""The folder of a run: its name, run.yaml, and the lock that lets one process at a time search it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from nas.errors import RunError, SpaceError
from nas.files import write_whole
from nas.space import SearchSpace, document
from nas.tasks.facts import facts_of

ROOT = Path(os.environ.get("NAS_RUNS") or "runs")  # where runs are
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def new_folder(root: Path, name: str | None, space: SearchSpace) -> Path:
    """Create the folder of a new run in `root` and return it; without a name, it has that of the space and the time.

    Raises RunError if the name is taken or not valid, or if the folder cannot be created.
    """
    if name is not None and not NAME.fullmatch(name):
        raise RunError(f"a run's name must be letters, digits, '.', '_' and '-', but got {name[:60]!r}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for candidate in _names(space) if name is None else [name]:
            with contextlib.suppress(FileExistsError):
                (root / candidate).mkdir()
                return root / candidate
    except OSError as error:
        raise RunError(f"no run can be created in {root}: {error.strerror}") from None
    raise RunError(f"run {name!r} exists already in {root}: choose another name, or go on with --resume {name}")


def _names(space: SearchSpace) -> Iterator[str]:
    """Yield names for a run: digits-20260105-093000, then the same with -2, -3, …"""
    stem = Path(space.source).stem if space.source else space.task.name
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:60] or "run"
    name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    yield name
    yield from (f"{name}-{again}" for again in range(2, 100))


def new_config(name: str, space: SearchSpace, storage: str | None) -> dict[str, Any]:
    """Return the content of run.yaml for a new run; a `storage` of None is study.db in its folder."""
    return {
        "name": name,
        "created": datetime.now().isoformat(timespec="microseconds"),
        "storage": storage,
        "versions": {"python": platform.python_version()} | _versions("skipnas", "torch", "ray", "optuna"),
        "commit": _commit(),
        "source": str(space.source) if space.source else None,
        "task": facts_of(space.task),
        "space": space.to_dict(),
    }


def _versions(*distributions: str) -> dict[str, str]:
    """Return name → version of the distributions that are installed."""
    found = {}
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit() -> str | None:
    """Return the git commit of this code, with -dirty if it was changed since; None outside a checkout."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True, timeout=5)
        done = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            check=True,
            timeout=5,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return str(done.stdout).strip()


def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write run.yaml, whole or not at all; only its owner may read it if it holds the URL of a storage.

    The URL of a run of an earlier version may hold a password. Raises RunError if it would be larger than
    `read_config` allows.
    """
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode()
    if len(text) > document.RUN.bytes:
        raise RunError(f"the space is too large to be recorded: {len(text)} bytes, at most {document.RUN.bytes}")
    write_whole(path, text)
    if config["storage"]:
        path.chmod(0o600)


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of run.yaml. Raises RunError if it cannot be read or holds no space."""
    try:
        config = document.read(path, document.RUN).data
    except SpaceError as error:
        raise RunError(str(error)) from None
    if not isinstance(config, dict) or not isinstance(config.get("space"), dict):
        raise RunError(f"{path} is not the record of a search: it has no space")
    return config


@contextlib.contextmanager
def locked(folder: Path, name: str, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a run in its folder. Raises RunError if another process of this machine holds it.

    shared  whether processes that share the lock may hold it together

    The operating system releases the lock when the process dies.
    """
    import fcntl

    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(20).strip() or "?"
            raise RunError(f"run {name!r} is being searched by another process (pid {owner})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
