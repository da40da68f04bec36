"""The command line in this process, and one finished run that the tests of all commands share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import main
from nas.export.source import write_source
from nas.topology import Topology
from nas.topology.block import Block, Head, Stem
from tests.helpers.command_line import TINY, Done, Nas


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """Runs `nas WORDS…` in this process."""

    def run(*words: str, columns: int = 100) -> Done:
        monkeypatch.setattr(sys, "argv", ["nas", *words])
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, made by the real command in a process of its own."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.yaml").write_text(TINY)
    mine = Topology((1, 8, 8), Stem("conv3x3", 4), (Block("basic", 6),), Head("classify"), 10)
    (folder / "mine.py").write_text("raise SystemExit('it was run')\n" + write_source(mine, "mine", 0))
    words = ["search", "tiny.yaml", "--name", "first", "--baseline", "mine.py"]
    done = subprocess.run(
        [sys.executable, "-c", "from nas.cli import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder / "out.txt").write_text(done.stdout)
    return folder


@pytest.fixture(autouse=True)
def _inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "folder" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("folder"))
