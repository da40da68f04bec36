"""A task from a function of the user's: found, checked, and made again in another process; each mistake one line."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from nas import tasks
from nas.errors import SpaceError, TaskError
from nas.space import SearchSpace

HEAD = "import numpy as np\nfrom nas import Task\nfrom nas.tasks import Split, Splits\n\n"
SUMS = """
def load():
    x = np.random.RandomState(0).randn(300, 6).astype(np.float32)
    split = Split(x, (x.sum(1) > 0).astype(np.int64))
    return Splits(split, split, split)

def sums():
    return Task("sums", input=(6,), outputs=2, load=load)
"""
SPACE = {
    "task": "digits",
    "network": {
        "stem": {"op": "linear", "width": 8},
        "stages": [{"blocks": 2, "op": "linear", "width": 8}],
        "head": "classify",
    },
    "search": {"baselines": ["plain"]},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["mine.py:sums", "{folder}/mine.py:sums", "sums_of_mine:sums"])
def test_a_function_is_a_task(folder: Path, name: str) -> None:
    (folder / "mine.py").write_text(HEAD + SUMS)
    (folder / "sums_of_mine.py").write_text(HEAD + SUMS)
    task = tasks.get(name.format(folder=folder))
    assert (task.input, task.outputs, task.metric, task.direction) == ((6,), 2, "accuracy", "maximize")
    assert len(task.load().train) == 300
    sys.modules.pop("sums_of_mine", None)


def test_its_name_makes_it_again_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.py").write_text(HEAD + SUMS)
    task = tasks.get("mine.py:sums")
    assert task.name == f"{folder}/mine.py:sums"
    program = "import sys, pickle; print(len(pickle.load(sys.stdin.buffer).load().test))"
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(task), capture_output=True, cwd="/")
    assert done.stdout.split() == [b"300"], done.stderr
    monkeypatch.chdir("/")
    assert tasks.get(task.name).input == (6,)


def test_a_space_takes_it(folder: Path) -> None:
    (folder / "mine.py").write_text(HEAD + SUMS)
    space = SearchSpace.from_dict(SPACE | {"task": "mine.py:sums"})
    assert space.task.input == (6,) and space.to_dict()["task"] == f"{folder}/mine.py:sums"
    with pytest.raises(SpaceError, match=r"^task: task .*/mine\.py:sum: the function must be one of .*'sums'\?\)$"):
        SearchSpace.from_dict(SPACE | {"task": "mine.py:sum"})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def sums(): return 3", r"sums must return a nas\.Task, but returned the int 3"),
        ("def sums(): return 1 / 0", r"ZeroDivisionError: division by zero \(mine\.py, line 5\)"),
        ("raise ImportError('no such thing')", r"ImportError: no such thing \(mine\.py, line 5\)"),
        ("def sums(:", r"SyntaxError: .*mine\.py, line 5"),
        ("def sums(): return Task('sums', (6,), 2)", r"missing 1 required positional argument: 'load'"),
        ("def sums(): return Task('sums', 6, 2, load=list)", r"input must be \(C, H, W\), \(T,\) or \(D,\).*got 6"),
        ("def sums(): return Task('sums', (6,), 0, load=list)", r"outputs a number, all whole and positive"),
        ("def sums(): return Task('sums', (6,), 2, load=[])", r"load must be a function"),
        ("def sums(): return Task('sums', (6,), 2, load=list, metric='acc')", r"metric.*must be one of accuracy"),
        ("def sums(): return Task('sums', (6,), 2, load=list, loss='mse')", r"loss must be one of cross_entropy"),
    ],
)
def test_a_wrong_one_is_one_line_that_names_what_is_missing(folder: Path, code: str, said: str) -> None:
    (folder / "mine.py").write_text(HEAD + code)
    with pytest.raises(TaskError, match=said) as caught:
        tasks.get("mine.py:sums")
    assert "mine.py:sums" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("3", r"must return nas\.tasks\.Splits, but returned the int 3"),
        ("Splits(1, 2, 3)", r"the train split must be a Split or a Stream, but got 1"),
        ("of([[1]], [0])", r"numpy arrays, but got list"),
        ("of(np.zeros((4, 5)), np.zeros(4, int))", r"train split must have inputs \(n, 6\), n > 0, but got \(4, 5\)"),
        ("of(np.zeros((0, 6)), np.zeros(0, int))", r"n > 0, but got \(0, 6\)"),
        ("of(np.zeros((4, 6)), np.array([0, 1, 2, 1]))", r"class numbers 0 … 1 as targets, but row 2 has 2"),
        ("of(np.zeros((4, 6)), np.zeros(4))", r"class numbers 0 … 1 as targets, but they are float64"),
        ("of(np.array([['a'] * 6]), np.zeros(1, int))", r"must hold numbers, but its inputs are"),
        ("of(np.diag([1, 1, np.nan, 1, 1, 1]), np.zeros(6, int))", r"finite, but row 2 of its inputs is not"),
    ],
)
def test_its_data_must_be_what_it_says(folder: Path, data: str, said: str) -> None:
    code = f"def of(x, y): return Splits(*[Split(x, y)] * 3)\ndef sums(): return Task('sums', (6,), 2, lambda: {data})"
    (folder / "mine.py").write_text(HEAD + code)
    with pytest.raises(TaskError, match=said) as caught:
        tasks.get("mine.py:sums").load()
    assert "mine.py:sums" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.py:sums", r"there is no file /.*/nowhere\.py"),
        ("no.such.module:sums", r"ModuleNotFoundError: No module named 'no'$"),
        ("digits:sums", r"^task digits must be written digits, but got 'digits:sums'"),
    ],
)
def test_what_is_not_there(folder: Path, name: str, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        tasks.get(name)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"flip": True}, r"^train\.flip: changes images \(C, H, W\), but the input of task .* is \(6,\)$"),
        ({"optimizer": "adam"}, r"^train\.optimizer: must be one of sgd, adamw"),
    ],
)
def test_a_recipe_must_fit_the_task(folder: Path, train: dict[str, object], said: str) -> None:
    (folder / "mine.py").write_text(HEAD + SUMS)
    with pytest.raises(SpaceError, match=said):
        SearchSpace.from_dict(SPACE | {"task": "mine.py:sums", "train": train})


def test_images_are_shifted_by_less_than_their_size() -> None:
    with pytest.raises(SpaceError, match=r"^train\.translate: translate < 8 must hold.*but got 8$"):
        SearchSpace.from_dict(SPACE | {"train": {"translate": 8}})
