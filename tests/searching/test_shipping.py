"""What of a folder travels to a cluster."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.searching import shipping
from nas.searching.shipping import pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def write(folder: Path, *names: str, size: int = 10) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * size)


def test_code_and_data_travel_but_not_what_is_made_again(folder: Path) -> None:
    write(folder, "space.yaml", "mine.py", "package/__init__.py", "package/layers.py", "data/rows.csv")
    write(folder, ".git/config", ".env", "runs/old/study.db", "package/__pycache__/layers.pyc", "env/pyvenv.cfg")
    write(folder, "mine.egg-info/PKG-INFO", "env/lib/torch.py")
    pack(folder, target := folder.parent / "package.zip")
    with zipfile.ZipFile(target) as package:
        assert package.namelist() == [
            "mine.py",
            "space.yaml",
            "data/rows.csv",
            "package/__init__.py",
            "package/layers.py",
        ]
        assert package.read("mine.py") == b"x" * 10


def test_the_same_files_are_the_same_package(folder: Path) -> None:
    write(folder, "b/space.yaml", "a.py")
    pack(folder, first := folder.parent / "1.zip")
    os.utime(folder / "a.py", (1e9, 1e9))
    pack(folder, second := folder.parent / "2.zip")
    assert first.read_bytes() == second.read_bytes()


def test_too_much_is_refused_with_what_is_largest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "LIMIT", 4 * 2**20)
    write(folder, "space.yaml")
    write(folder, "photos/1.png", "photos/2.png", size=2 * 2**20)
    with pytest.raises(
        RunError, match=r"more than 4 MiB to send, the most in photos \(4 MiB\).*--folder.*absolute path"
    ):
        pack(folder, folder.parent / "package.zip")


def test_a_file_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "secret.csv")

    def read_bytes(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(RunError, match=r"secret\.csv cannot be sent: Permission denied"):
        pack(folder, folder.parent / "package.zip")


def test_a_pipe_does_not_travel(folder: Path) -> None:
    write(folder, "space.yaml")
    os.mkfifo(folder / "pipe")
    pack(folder, target := folder.parent / "package.zip")
    with zipfile.ZipFile(target) as package:
        assert package.namelist() == ["space.yaml"]
