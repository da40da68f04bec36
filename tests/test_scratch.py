"""Temporary folders: nothing is left of them, and nothing of one that is used is removed."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nas.scratch import scratch_folder

KILLED = """
import os, signal
from nas.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "state").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of temporary files is one of the test, with one of another program in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "nas-of-somebody-else").mkdir()


def left_by_a_killed_process(folder: Path) -> Path:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    [left] = folder.glob("*/state")
    return left


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = left_by_a_killed_process(tmp_path)
    with scratch_folder() as first:
        assert not left.parent.exists()
        with scratch_folder() as second:
            assert first.is_dir() and second.is_dir() and first != second
    assert [path.name for path in tmp_path.iterdir()] == ["nas-of-somebody-else"]


def test_what_was_left_by_one_killed_meanwhile_is_removed_in_the_end(tmp_path: Path) -> None:
    with scratch_folder():
        left = left_by_a_killed_process(tmp_path)
        assert left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["nas-of-somebody-else"]
