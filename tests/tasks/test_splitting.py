"""Which split a sample belongs to: stratified, shuffled, and fixed for ever."""

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest

from nas.tasks import splitting

TURNS = "329a8837497fb231"
SUBSET = "5a3f838499ca71a7"


def test_turns_are_stratified_and_in_no_order() -> None:
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    parts = splitting.assign_shuffled(labels)
    for label, count in ((0, 500), (1, 300), (2, 200)):
        assert Counter(parts[labels == label]) == {
            "train": count * 3 // 5,
            "validation": count // 5,
            "test": count // 5,
        }
    rows = np.flatnonzero(parts == "test")
    assert len(set(np.diff(rows))) > 10 and abs(rows.mean() - 500) < 50


def test_turns_never_change() -> None:
    told = " ".join(splitting.assign_shuffled(np.arange(100) % 3)) + " ".join(splitting.assign_by_hash([*"abcdefghij"]))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == TURNS


def test_many_samples_give_a_tenth() -> None:
    assert Counter(splitting.assign_shuffled(np.zeros(10_000))) == {"train": 8000, "validation": 1000, "test": 1000}


def test_a_name_that_is_added_moves_no_other() -> None:
    names = [f"chapter {number}" for number in range(300)]
    before, after = splitting.assign_by_hash(names), splitting.assign_by_hash(["new", *names])
    assert after[1:].tolist() == before.tolist() and 220 < (before == "train").sum() < 260


LABELS = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [500, 300, 200]))
PARTS = splitting.assign_in_turn(LABELS, splitting.FIFTHS)  # 600 train, 200 validation, 200 test


@pytest.mark.parametrize(("train", "validation"), [(600, 200), (60, 200), (600, 20), (61, 13), (60, 500), (300, 500)])
def test_a_subset_holds_of_each_class_its_share(train: int, validation: int) -> None:
    chosen = splitting.subset(LABELS, PARTS, train, validation)
    for name, size in (("train", train), ("validation", validation), ("test", 200)):
        assert (chosen == name).sum() == size
        counts = np.bincount(LABELS[chosen == name])
        assert abs(counts - size * np.array([0.5, 0.3, 0.2])).max() <= 1
    assert ((chosen == "test") == (PARTS == "test")).all()
    assert (PARTS[chosen == "train"] == "train").all()


def test_a_subset_is_a_part_of_a_larger_one() -> None:
    sizes = [(20, 20), (100, 20), (100, 150), (300, 500), (300, 350), (50, 700)]
    chosen = {size: splitting.subset(LABELS, PARTS, *size) for size in sizes}
    for name, place in (("train", 0), ("validation", 1)):
        smaller_first = sorted(sizes, key=lambda size: size[place])
        for small, large in itertools.pairwise(smaller_first):
            assert (chosen[large][chosen[small] == name] == name).all()


def test_a_subset_of_all_is_the_assignment() -> None:
    assert splitting.subset(LABELS, PARTS, 600, 200).tolist() == PARTS.tolist()


def test_a_subset_never_changes() -> None:
    told = " ".join(splitting.subset(np.arange(1000) % 7 % 3, np.repeat(["train", "validation"], 500), 31, 510))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == SUBSET
