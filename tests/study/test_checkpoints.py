"""A checkpoint is whole or not there, whatever its file holds; there is one for each trial that is being trained."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.study import checkpoints
from nas.study.checkpoints import Checkpoint, CheckpointFolder

CURVE = [{"epoch": 1, "accuracy": 0.1 + 0.2, "seconds": 1e-9}, {"epoch": 2, "accuracy": 2 / 3, "why": "né\n"}]
CHECKPOINT = Checkpoint(CURVE, 12.5, b"\n\x00weights\n")


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


def names(folder: CheckpointFolder) -> set[str]:
    return {path.name for path in folder.path.iterdir()} if folder.path.exists() else set()


def test_what_is_written_is_read(folder: CheckpointFolder) -> None:
    assert folder.read(3) is None
    assert folder.write(3, CHECKPOINT) is None
    assert folder.read(3) == CHECKPOINT
    assert folder.read(4) is None


def test_the_next_one_takes_its_place(folder: CheckpointFolder) -> None:
    for content in (b"one", b"two"):
        folder.write(3, Checkpoint(CURVE, 1.0, content))
    found = folder.read(3)
    assert found is not None and found.content == b"two"
    assert names(folder) == {"3.checkpoint"}


def test_a_value_that_is_no_json_is_not_lost_alone(folder: CheckpointFolder) -> None:
    folder.write(3, Checkpoint([{"epoch": 1, "accuracy": float("nan"), "other": {1, 2}}], 1.0, b""))
    found = folder.read(3)
    assert found is not None and found.curve == [{"epoch": 1, "accuracy": None, "other": "{1, 2}"}]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: whole[1:],
        lambda whole: whole.replace(b'"epoch": 2', b'"epoch": 3'),
        lambda whole: whole.replace(b'"epoch": 1', b'"epoch": null'),
        lambda whole: whole.replace(b"12.5", b"-1"),
        lambda whole: whole.replace(b"12.5", b"NaN"),
        lambda whole: whole.replace(b"12.5", b'{"a":'),
        lambda whole: whole.replace(b"12.5", b"[" * 10**5),
        lambda whole: whole.replace(b'"busy"', b'"more": 1, "busy"'),
        lambda whole: whole.replace(json.dumps(CURVE).encode(), b"[]"),
        lambda whole: whole.replace(json.dumps(CURVE).encode(), b"[1]"),
    ],
)
def test_what_is_damaged_is_as_good_as_none(folder: CheckpointFolder, damage: Callable[[bytes], bytes]) -> None:
    whole = CHECKPOINT.to_bytes()
    assert damage(whole) != whole
    folder.path.mkdir()
    (folder.path / "3.checkpoint").write_bytes(damage(whole))
    assert folder.read(3) is None


def test_only_a_file_is_read(folder: CheckpointFolder) -> None:
    (folder.path / "3.checkpoint").mkdir(parents=True)
    os.mkfifo(folder.path / "4.checkpoint")
    assert folder.read(3) is None and folder.read(4) is None


def test_what_is_too_large_is_neither_written_nor_read(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(3, CHECKPOINT)
    monkeypatch.setattr(checkpoints, "LARGEST", 20)
    assert folder.read(3) is None
    assert folder.write(4, CHECKPOINT) is None
    assert names(folder) == {"3.checkpoint"}


def test_a_disk_that_is_almost_full_is_left_alone(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=checkpoints.LEFT_FREE))
    assert folder.write(3, CHECKPOINT) == f"the disk of {folder.path} is full"
    assert names(folder) == set()


def test_a_disk_that_cannot_be_written_is_named(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert folder.write(3, CHECKPOINT) == f"{folder.path} cannot be written: No space left on device"
    assert names(folder) == set()


def test_the_folder_is_there_while_it_holds_something(folder: CheckpointFolder) -> None:
    folder.drop(3)
    for number in (3, 4):
        folder.write(number, CHECKPOINT)
    folder.drop(3)
    assert names(folder) == {"4.checkpoint"}
    folder.drop(4)
    assert not folder.path.exists()


def test_what_no_trial_needs_is_deleted_and_what_is_none_of_ours_is_not(folder: CheckpointFolder) -> None:
    for number in (3, 4, 14):
        folder.write(number, CHECKPOINT)
    drafts = {".3.checkpoint.4711", ".14.checkpoint.4711"}  # of a process that was killed, or that writes right now
    foreign = {"notes.txt", "best.checkpoint", "3.safetensors"}
    for name in drafts | foreign:
        (folder.path / name).touch()
    folder.keep_only({14, 15})
    assert names(folder) == {"14.checkpoint", ".14.checkpoint.4711"} | foreign
    folder.drop(14)
    assert names(folder) == foreign
