"""The digits are scikit-learn's, and their split never changes."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from nas import tasks
from nas.tasks import Splits
from nas.tasks.families import digits

# of all labels and splits in order: the split is fixed for ever
GOLDEN = "0704173ef7817c7f"


@pytest.fixture(scope="module")
def splits() -> Splits:
    return tasks.get("digits").load()


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    pixels, labels = digits.pixels_and_labels()
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
    pixels, _ = digits.pixels_and_labels()
    assert sum(rows.values()) == len(pixels) == 1797
    assert max(rows.values()) == Counter(row.tobytes() for row in pixels).most_common(1)[0][1]


def test_digits_split_never_changes() -> None:
    labels = digits.pixels_and_labels()[1]
    told = " ".join(f"{label}{part}" for label, part in zip(labels, digits.assign(labels), strict=True))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == GOLDEN


def test_digits_are_standardised_by_the_training_split(splits: Splits) -> None:
    assert abs(splits.train.inputs.mean(dtype=float)) < 1e-6
    assert abs(splits.train.inputs.std(dtype=float) - 1) < 1e-6
    assert abs(splits.validation.inputs.mean(dtype=float)) > 1e-4  # not by its own
