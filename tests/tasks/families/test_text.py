"""Bytes and the bytes that follow: whole topics and files in one split, every byte predicted once."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest

from nas import tasks
from nas.errors import TaskError
from nas.tasks import splitting
from nas.tasks.recipe import Recipe
from nas.topology.references import gpt2
from nas.training.evaluate import Evaluator


def test_pydoc_is_pythons_documentation_divided_by_topic() -> None:
    task = tasks.get("pydoc")
    splits = task.load()
    assert (task.input, task.outputs, task.metric, task.direction) == ((64,), 256, "bits_per_byte", "minimize")
    sizes = {name: split.inputs.size for name, split in vars(splits).items()}
    whole = sum(len(text.encode()) for text in topics.values())
    assert 0.98 * whole < sum(sizes.values()) < whole
    assert sizes["train"] > 0.6 * whole and min(sizes.values()) > 0.03 * whole
    parts = dict(zip(sorted(topics), splitting.assign_by_hash(sorted(topics)), strict=True))
    for topic in ("assert", "lambda", "with", "numbers"):
        window = np.frombuffer(topics[topic].encode()[:64], np.uint8)
        found = [name for name, split in vars(splits).items() if (split.inputs == window).all(1).any()]
        assert found == [parts[topic]]


def test_targets_are_the_bytes_that_follow(tmp_path: Path) -> None:
    content = bytes(range(250)) * 8
    (tmp_path / "book.txt").write_bytes(content)
    task = tasks.get(f"text:{tmp_path}/book.txt?context=10")
    splits = task.load()
    assert task.input == (10,) and splits.train.inputs.dtype == np.uint8
    assert (
        bytes(splits.train.inputs.ravel()) == content[:1590] and bytes(splits.train.targets.ravel()) == content[1:1591]
    )
    assert bytes(splits.test.inputs[0]) == content[1800:1810]


def test_a_folder_is_divided_by_file(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"<{number:02}>" * 25)
    (tmp_path / ".hidden").write_text("xx" * 1000)
    splits = tasks.get(f"text:{tmp_path}?context=9").load()
    train, validation, test = ({bytes(row) for row in split.inputs} for split in vars(splits).values())
    assert sum(map(len, vars(splits).values())) == 40 * 11
    assert not train & test and not train & validation and not validation & test


@pytest.mark.parametrize(
    ("content", "query", "said"),
    [
        (None, "", r"there is no file or folder .*book\.txt$"),
        ("", "", r"book\.txt is empty$"),
        ("short" * 100, "", r"book\.txt: the validation split must hold more than 128 bytes"),
        ("long" * 1000, "?context=many", r"context must be a whole number from 2 to 65536, but got 'many'"),
    ],
)
def test_a_text_that_is_none(tmp_path: Path, content: str | None, query: str, said: str) -> None:
    if content is not None:
        (tmp_path / "book.txt").write_text(content)
    with pytest.raises(TaskError, match=said):
        tasks.get(f"text:{tmp_path}/book.txt{query}").load()


def test_a_language_model_learns(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("the quick brown fox jumps over the lazy dog. " * 400)
    task = tasks.get(f"text:{tmp_path}/book.txt?context=16")
    topology = gpt2("small", input=(16,), outputs=256)
    small = type(topology).from_dict(_narrow(topology.to_dict()))
    recipe = Recipe(epochs=3, batch_size=16, optimizer="adamw", lr=0.01, label_smoothing=0.0, grad_clip=1.0)
    curve = Evaluator(task, recipe).evaluate(small, seed=0).curve
    assert curve[-1]["bits_per_byte"] < 2 < curve[0]["train_bits_per_byte"]
    assert curve[-1]["bits_per_byte"] == pytest.approx(curve[-1]["loss"] / np.log(2), rel=1e-4)


def _narrow(data: dict) -> dict:  # type: ignore[type-arg]
    data["stem"]["width"] = 16
    data["blocks"] = data["blocks"][:2]
    for block in data["blocks"]:
        block["width"] = 16
        block |= {"heads": 4} if "heads" in block else {}
    return data
