"""The data of a task is read once, by the driver, and lies once in the memory of a node."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas
from nas.errors import TaskError
from nas.searching import shared_data
from nas.searching.shared_data import SharedData, data_of, shared
from nas.space import SearchSpace
from nas.tasks import Split, Splits, Stream

ROOT = Path(__file__).parents[2]
TASK = """
import os
import numpy as np
import nas
from nas.tasks import Split, Splits

def task():
    def load():
        with open("readers", "a") as file:
            file.write(f"{os.getpid()}\\n")
        draw = np.random.default_rng(0)
        def part(n):
            return Split(draw.normal(size=(n, 1, 8, 8)), draw.integers(0, 3, n))
        return Splits(part(64), part(32), part(32))
    return nas.Task("mine", (1, 8, 8), 3, load)
"""
SPACE = """
task: {of: "task.py:task"}
network: {stem: {op: conv3x3, width: 4}, stages: [{blocks: 3, op: conv}], head: classify}
skips: {kinds: [none, add]}
train: {epochs: 1, batch_size: 16}
search: {objectives: [accuracy], baselines: [], sampler: random, repeats: 1, trials: 4, seed: 0}
"""


def splits() -> Splits:
    draw = np.random.default_rng(0)
    images = draw.normal(size=(6, 3, 4, 5))
    return Splits(
        Split(images, np.arange(6)),
        Split(draw.normal(size=(2, 7)), draw.normal(size=(2, 1))),
        Split(np.arange(12, dtype=np.uint8).reshape(4, 3), np.arange(4)),
    )


def sent(load: Any, monkeypatch: pytest.MonkeyPatch, room: float = 1e9) -> Any:
    monkeypatch.setattr(shared_data, "_smallest_store", lambda: room)
    return pickle.loads(pickle.dumps(SharedData(load)))  # noqa: S301  # what was written here


def test_what_is_sent_are_the_arrays_as_training_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    received = sent(splits, monkeypatch)
    assert received.load is None
    for name, part in vars(received()).items():
        own = getattr(splits(), name)
        for array, expected in ((part.inputs, own.inputs), (part.targets, own.targets)):
            narrow = expected.astype(np.float32) if expected.dtype == np.float64 else expected
            assert array.dtype == narrow.dtype and np.array_equal(array, narrow)
    images = received().train.inputs
    assert np.moveaxis(images, 1, -1).flags.c_contiguous  # channels last


def test_the_function_is_sent_where_the_data_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sent(splits, monkeypatch, room=1000).load is splits
    assert sent(_streamed, monkeypatch).load is _streamed
    assert sent(_missing, monkeypatch).load is _missing
    assert sent(_broken, monkeypatch).load is _broken
    assert SharedData(_missing).nbytes == 0
    with pytest.raises(TaskError, match="no file here"):
        SharedData(_missing)()


def _streamed() -> Splits:
    return Splits(Stream(_read, 3, (0.0,), (1.0,)), Stream(_read, 3, (0.0,), (1.0,)), Stream(_read, 3, (0.0,), (1.0,)))


def _read(place: int) -> Any:
    raise AssertionError


def _broken() -> Splits:
    raise ZeroDivisionError


def _missing() -> Splits:
    raise TaskError("no file here")


def test_the_data_of_an_evaluation_is_found() -> None:
    from nas.searching.driver import _evaluation

    space = SearchSpace.load("digits")
    data = data_of(_evaluation(space))
    assert data is not None and data.load is space.task.load
    assert data_of(_read) is None and data_of(shared) is None


def test_only_the_driver_reads_the_data(tmp_path: Path) -> None:
    """Its processes see one copy, to which nobody can write; their results are those of one process that reads it."""
    (tmp_path / "task.py").write_text(TASK)
    (tmp_path / "space.yaml").write_text(SPACE)
    command = [sys.executable, "-m", "nas", "search", "space.yaml", "--name", "r", "--slots", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    assert process.wait(200) == 0
    readers = (tmp_path / "readers").read_text().split()
    assert readers == [str(process.pid)]
    found = nas.Run.open("r", tmp_path / "runs").study.get_trials()
    assert len(found) == 4 and all(trial.state.name == "COMPLETE" for trial in found)
