"""The fuzzer finds what it is for, and finds nothing in a few hundred mutants; `make fuzz` runs thousands."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.fuzz import arena, mutations
from benchmarks.fuzz.kinds import as_command
from nas.errors import NasError

ELSEWHERE = Path(__file__).parent / "must-not-be-written"


def raises() -> None:
    raise ValueError("a traceback")


def spins() -> None:
    while True:
        pass


def dies() -> None:
    os._exit(3)


def writes() -> None:
    ELSEWHERE.open("w").close()


def connects() -> None:
    sqlite3.connect(ELSEWHERE).close()


def starts() -> None:
    subprocess.run(["true"], check=True)


def refuses() -> None:
    raise NasError("epochs must be a whole number, but got 'x'")


def talks() -> None:
    raise NasError("one line\nand another one")


def obeys() -> None:
    Path("inside").write_text("a file of its own")


def reaches() -> None:
    raise arena.Reached


@pytest.mark.parametrize(
    ("act", "verdict"),
    [
        (raises, "traceback"),
        (dies, "traceback"),
        (talks, "traceback"),
        (spins, "hang"),
        (writes, "elsewhere"),
        (connects, "elsewhere"),
        (starts, "elsewhere"),
        (refuses, "refused"),
        (obeys, "accepted"),
        (reaches, "accepted"),
    ],
)
def test_every_end_of_a_mutant_is_told_apart(
    act: Callable[[], None], verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arena, "CPU_S", 1)
    mutant = arena.Mutant("test", "0", tmp_path.resolve(), lambda: as_command(act))
    [ended] = arena.run_all(iter([mutant]), jobs=1)
    ELSEWHERE.unlink(missing_ok=True)
    assert ended.verdict == verdict, ended.said


def test_what_waits_for_ever_is_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "WALL_S", 0.5)
    os.mkfifo(tmp_path / "pipe")
    mutant = arena.Mutant("test", "0", tmp_path.resolve(), lambda: (tmp_path / "pipe").read_bytes())
    [ended] = arena.run_all(iter([mutant]), jobs=1)
    assert ended.verdict == "hang"


@pytest.mark.parametrize("damage", [mutations.bytes_damaged, mutations.words_damaged, mutations.json_damaged])
def test_a_seed_gives_the_same_damage(damage: Callable[[random.Random, bytes], bytes]) -> None:
    content = b'{"accuracy": [0.5, 0.75], "name": "resnet"}'
    made = {damage(random.Random(seed), content) for seed in range(30)}
    assert made == {damage(random.Random(seed), content) for seed in range(30)}
    assert len(made) > 20
    assert content not in made or len(made) > 25


def test_a_few_mutants_end_well() -> None:
    command = [sys.executable, "-m", "benchmarks.fuzz", "--mutants", "120", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "| data files |" in done.stdout
