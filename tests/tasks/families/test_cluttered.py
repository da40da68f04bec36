"""Digits among pieces: the same for ever, whatever their number, and no digit of a test image in a training image."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from nas import tasks
from nas.errors import TaskError
from nas.tasks import Array, Splits
from nas.tasks.families import cluttered, digits

GOLDEN = "ce55c913f510fcc9"  # of all labels and pixels in order, the pixels in hundredths


@pytest.fixture(scope="module")
def splits() -> Splits:
    return tasks.get("cluttered_digits").load()


def test_facts_agree_with_the_data(splits: Splits) -> None:
    task = tasks.get("cluttered_digits")
    assert [len(split) for split in vars(splits).values()] == [2000, 4000, 4000]
    for split in vars(splits).values():
        assert split.inputs.shape[1:] == task.input == (1, 12, 12) and split.inputs.dtype == np.float32
        assert np.bincount(split.targets, minlength=task.outputs).min() > 0.08 * len(split)
    assert abs(splits.train.inputs.mean(dtype=float)) < 1e-6 and abs(splits.train.inputs.std(dtype=float) - 1) < 1e-6
    assert abs(splits.validation.inputs.mean(dtype=float)) > 1e-4  # not by its own


def test_they_never_change(splits: Splits) -> None:
    told = [np.round(100 * split.inputs).astype(np.int16).tobytes() for split in vars(splits).values()]
    told += [split.targets.astype(np.int16).tobytes() for split in vars(splits).values()]
    assert hashlib.sha256(b"".join(told)).hexdigest()[:16] == GOLDEN


def test_they_are_drawn_once_in_a_process(splits: Splits) -> None:
    assert tasks.get("cluttered_digits").load() is splits
    assert tasks.get("cluttered_digits?train=2000").load() is splits


def test_every_split_draws_from_its_own_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits.pixels_and_labels()
    images, part = images.reshape(-1, 8, 8) / 16, digits.assign(labels)
    pools: list[Array] = []

    def drawn(pool: Array, shown: Array, numbers: Array) -> Array:
        pools.append(pool)
        return np.arange(12.0 * 12 * len(shown)).reshape(-1, 12, 12)

    monkeypatch.setattr(cluttered, "cluttered", drawn)
    tasks.get("cluttered_digits?train=20").load.func.__wrapped__(20, 30)  # type: ignore[attr-defined]
    for pool, name in zip(pools, ("train", "validation", "test"), strict=True):
        assert np.array_equal(pool, images[part == name])
    whole = [{image.tobytes() for image in pool} for pool in pools]
    assert not whole[0] & whole[1] and not whole[0] & whole[2] and not whole[1] & whole[2]


def test_fewer_images_are_the_first_ones_of_more(splits: Splits) -> None:
    fewer = tasks.get("cluttered_digits?train=150&validation=70").load()
    for name, count in (("train", 150), ("validation", 70), ("test", 4000)):
        own, whole = getattr(fewer, name), getattr(splits, name)
        assert len(own) == count and np.array_equal(own.targets, whole.targets[:count])
        # each is standardised by its own training split: a line through all pixels of the two
        assert np.corrcoef(own.inputs.ravel(), whole.inputs[:count].ravel())[0, 1] > 1 - 1e-6


def test_a_digit_is_where_it_was_drawn_and_its_pieces_are_lighter() -> None:
    numbers = cluttered.BOUNDS.mean(1)[None].repeat(2, 0)
    numbers[:, 2:5] = 1, 0, 1  # as large as it is, upright, and black
    pool = np.zeros((2, 8, 8))
    pool[0] = 1
    numbers[1, 5::8][: cluttered.PIECES] = 0  # the pieces of the second image are of the first digit
    first, second = cluttered.cluttered(pool, np.array([0, 1]), numbers)
    assert np.allclose(first[2:10, 2:10], 1)
    assert 0.3 < second.max() < 0.6


@pytest.mark.parametrize("query", ["train=9", "train=20001", "validation=many", "train=1e3", "validation=-50"])
def test_an_option_is_a_whole_number_of_images(query: str) -> None:
    option = query.partition("=")[0]
    with pytest.raises(TaskError, match=f"^task cluttered_digits: {option} must be a whole number from 10 to 20000"):
        tasks.get(f"cluttered_digits?{query}")


def test_a_batch_is_not_larger_than_the_training_split() -> None:
    assert tasks.get("cluttered_digits").recipe.batch_size == 64
    assert tasks.get("cluttered_digits?train=40").recipe.batch_size == 40
