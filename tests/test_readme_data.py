"""What the README says of a user's own data, exactly as printed: every command, on files as a user has them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nas.network import build
from nas.space import SearchSpace
from nas.tasks import Split

README = (Path(__file__).parent.parent / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (nas search .*--task.*)$", README, re.MULTILINE)
FUNCTION = re.search(r"in `spirals\.py`:\n\n```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's files."""
    assert FUNCTION is not None
    (tmp_path / "spirals.py").write_text(FUNCTION[1])
    random = np.random.RandomState(0)
    table = {"age": random.randint(20, 80, 200), "town": random.choice(["Bonn", "Aachen"], 200)}
    pd.DataFrame(table | {"outcome": random.choice(["ill", "well"], 200)}).to_csv(tmp_path / "patients.csv")
    np.savez(tmp_path / "signs.npz", x=random.randint(0, 256, (400, 12, 12)), y=np.arange(400) % 4)
    (tmp_path / "book.txt").write_text("It was the best of times, it was the worst of times. " * 600)
    for number in range(120):
        pixels = random.randint(0, 256, (40, 50, 3)).astype(np.uint8)
        for place in (f"photos/class{number % 2}/{number}.jpg", f"fields/images/{number}.jpg"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / place)
        (tmp_path / "fields/masks").mkdir(exist_ok=True)
        Image.fromarray((pixels[..., 0] > 99).astype(np.uint8)).save(tmp_path / f"fields/masks/{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_one_for_each_kind_of_data() -> None:
    kinds = {shlex.split(command)[4].partition(":")[0] for command in COMMANDS}
    assert kinds == {"csv", "npz", "imagefolder", "masks", "text", "spirals.py"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_space_and_the_data_fit(data: Path, command: str) -> None:
    _, _, name, option, task, *_ = shlex.split(command)
    assert option == "--task"
    space = SearchSpace.load(name, task)
    splits = space.task.load()
    assert len(splits.train) >= space.recipe.batch_size and len(splits.validation) and len(splits.test)
    shape = splits.train.inputs[0].shape if isinstance(splits.train, Split) else splits.train.read(0)[0].shape
    assert shape == space.task.input
    for topology in space.baselines().values():
        build(topology)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs_as_printed(data: Path, command: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr
    (run,) = (data / "runs").iterdir()
    assert "2 finished" in done.stderr and (run / "report.html").is_file() and (run / "best" / "network.py").is_file()
