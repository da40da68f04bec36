"""Which split a sample belongs to: stratified, shuffled, and fixed for ever."""

import hashlib
from collections import Counter

import numpy as np

from nas.tasks import splitting

TURNS = "329a8837497fb231"


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
