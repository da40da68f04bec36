"""Tasks: facts without data, and the one split of the digits."""

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from nas import tasks
from nas.errors import TaskError
from nas.tasks import Splits, digits

# of all labels and splits in order: the split is fixed for ever
GOLDEN = "0704173ef7817c7f"


@pytest.fixture(scope="module")
def splits() -> Splits:
    return tasks.get("digits").load()


def test_an_unknown_task_is_one_clear_line() -> None:
    with pytest.raises(TaskError, match=r"^task must be one of .*digits.*, but got 'digit' \(did you mean 'digits'"):
        tasks.get("digit")


@pytest.mark.parametrize("name", ["digits"])  # those whose data is embedded
def test_facts_agree_with_the_data(name: str) -> None:
    task = tasks.get(name)
    loaded = task.load()
    assert task.name == name
    for split in (loaded.train, loaded.validation, loaded.test):
        assert split.inputs.shape == (len(split), *task.input)
        assert split.inputs.dtype == np.float32 and np.isfinite(split.inputs).all()
        assert set(np.unique(split.targets)) <= set(range(task.outputs))


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
