"""The temporary folder of a search: nothing is left of it, and nothing of one that is used is removed."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nas.searching.scratch import scratch_folder

KILLED = """
import os, signal
from nas.searching.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "state").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_search_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "nas-of-somebody-else").mkdir()
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    [left] = tmp_path.glob("*/state")
    with scratch_folder() as first:
        assert not left.parent.exists()
        with scratch_folder() as second:
            assert first.is_dir() and second.is_dir() and first != second
    assert [path.name for path in tmp_path.iterdir()] == ["nas-of-somebody-else"]
