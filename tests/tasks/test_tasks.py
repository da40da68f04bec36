"""Tasks: facts without data, and the one split of the digits."""

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from nas import tasks
from nas.errors import TaskError
from nas.tasks import Splits, digits, splitting
from nas.tasks.task import checked

# of all labels and splits in order: the split is fixed for ever
GOLDEN = "0704173ef7817c7f"
TURNS = "329a8837497fb231"


@pytest.fixture(scope="module")
def splits() -> Splits:
    return tasks.get("digits").load()


def test_an_unknown_task_is_one_clear_line() -> None:
    with pytest.raises(TaskError, match=r"^task must be one of .*digits.*, but got 'digit' \(did you mean 'digits'"):
        tasks.get("digit")


EMBEDDED = ("digits", "digit_scenes", "pydoc", "breast_cancer", "wine", "diabetes")


@pytest.mark.parametrize("name", EMBEDDED)
def test_facts_agree_with_the_data(name: str) -> None:
    task = tasks.get(name)
    assert task.name == name
    splits = checked(task.load(), task)
    for split in vars(splits).values():
        assert split.inputs.dtype == (np.uint8 if name == "pydoc" else np.float32)
        assert len(split) >= 30


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_task_says_what_it_is_and_how_it_is_written(name: str) -> None:
    assert tasks.TASKS[name].__doc__ and tasks.usage(name).startswith(name)
    if tasks.usage(name) == name:
        assert tasks.get(name).recipe.epochs > 0
    else:
        with pytest.raises(TaskError, match=rf"^task {name} must be written {name}:PATH"):
            tasks.get(name)


def test_facts_load_neither_data_nor_frameworks() -> None:
    program = (
        "import sys, nas.tasks\n"
        "nas.tasks.get('digits'); print('sklearn' in sys.modules, 'torch' in sys.modules)\n"
        "nas.tasks.get('digits').load(); print('sklearn' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 4


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    pixels, labels = digits._read()
    theirs = load_digits()
    assert np.array_equal(pixels, theirs.data) and np.array_equal(labels, theirs.target)


def test_digits_are_split_by_class(splits: Splits) -> None:
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1085, 357, 355)
    whole = Counter(np.concatenate([split.targets for split in (splits.train, splits.validation, splits.test)]))
    for split, share in ((splits.train, 0.6), (splits.validation, 0.2), (splits.test, 0.2)):
        for label, count in Counter(split.targets).items():
            assert abs(count - share * whole[label]) <= 2


def test_every_digit_is_in_one_split(splits: Splits) -> None:
    parts = (splits.train, splits.validation, splits.test)
    rows = Counter(row.tobytes() for split in parts for row in split.inputs)
    pixels, _ = digits._read()
    assert sum(rows.values()) == len(pixels) == 1797
    assert max(rows.values()) == Counter(row.tobytes() for row in pixels).most_common(1)[0][1]


def test_digits_split_never_changes() -> None:
    labels = digits._read()[1]
    told = " ".join(f"{label}{part}" for label, part in zip(labels, digits.parts(labels), strict=True))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == GOLDEN


def test_digits_are_standardised_by_the_training_split(splits: Splits) -> None:
    assert abs(splits.train.inputs.mean(dtype=float)) < 1e-6
    assert abs(splits.train.inputs.std(dtype=float) - 1) < 1e-6
    assert abs(splits.validation.inputs.mean(dtype=float)) > 1e-4  # not by its own


# ----------------------------------------------------------------------------------------------------------- splitting


def test_turns_are_stratified_and_in_no_order() -> None:
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    parts = splitting.shuffled_turns(labels)
    for label, count in ((0, 500), (1, 300), (2, 200)):
        assert Counter(parts[labels == label]) == {
            "train": count * 3 // 5,
            "validation": count // 5,
            "test": count // 5,
        }
    rows = np.flatnonzero(parts == "test")
    assert len(set(np.diff(rows))) > 10 and abs(rows.mean() - 500) < 50


def test_turns_never_change() -> None:
    told = " ".join(splitting.shuffled_turns(np.arange(100) % 3)) + " ".join(splitting.by_name([*"abcdefghij"]))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == TURNS


def test_many_samples_give_a_tenth() -> None:
    assert Counter(splitting.shuffled_turns(np.zeros(10_000))) == {"train": 8000, "validation": 1000, "test": 1000}


def test_a_name_that_is_added_moves_no_other() -> None:
    names = [f"chapter {number}" for number in range(300)]
    before, after = splitting.by_name(names), splitting.by_name(["new", *names])
    assert after[1:].tolist() == before.tolist() and 220 < (before == "train").sum() < 260
