"""Scenes of digits: the same for ever, labelled truly, and no digit of a test scene in a training scene."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from nas import tasks
from nas.tasks import Array, Splits
from nas.tasks.families import digits, scenes

GOLDEN = "3e9d571c991dae39"  # of all labels, in order


@pytest.fixture(scope="module")
def splits() -> Splits:
    return tasks.get("digit_scenes").load()


def test_facts_agree_with_the_data(splits: Splits) -> None:
    task = tasks.get("digit_scenes")
    assert (task.metric, task.direction) == ("mean_iou", "maximize")
    for name, split in vars(splits).items():
        assert split.inputs.shape == (scenes.SCENES[name], *task.input) and split.inputs.dtype == np.float32
        assert split.targets.shape == (scenes.SCENES[name], 48, 48)
        assert set(np.unique(split.targets)) == set(range(task.outputs))
        assert 0.75 < (split.targets == scenes.BACKGROUND).mean() < 0.95
    assert abs(splits.train.inputs.mean()) < 1e-5 and abs(splits.train.inputs.std() - 1) < 1e-5


def test_they_never_change(splits: Splits) -> None:
    told = b"".join(split.targets.tobytes() for split in (splits.train, splits.validation, splits.test))
    assert hashlib.sha256(told).hexdigest()[:16] == GOLDEN
    scenes.load.cache_clear()
    assert np.array_equal(tasks.get("digit_scenes").load().test.inputs, splits.test.inputs)


def test_a_scene_has_two_to_four_digits_of_different_classes(splits: Splits) -> None:
    counts = {len(np.unique(places)) - 1 for places in splits.train.targets}
    assert counts == {2, 3, 4}


def test_labelled_pixels_are_dark_and_clutter_is_not_labelled(splits: Splits) -> None:
    pixels, places = splits.train.inputs[:, 0], splits.train.targets
    ink, background = pixels[places > 0], pixels[places == 0]
    assert ink.mean() > background.mean() + 1.5
    assert (background > ink.mean()).mean() > 0.005  # by darkness alone nobody can tell


def test_every_split_draws_from_its_own_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits.pixels_and_labels()
    images, part = images.reshape(-1, 8, 8) / 16, digits.assign(labels)
    drawn: list[set[bytes]] = []

    def scene(own: Array, own_labels: Array, random: Any) -> tuple[Array, Array]:
        drawn.append({image.tobytes() for image in own})
        return np.zeros((48, 48)), np.zeros((48, 48), np.uint8)

    monkeypatch.setattr(scenes, "scene", scene)
    with np.errstate(invalid="ignore"):
        scenes.load.__wrapped__()
    pools = [drawn[0], drawn[640], drawn[800]]
    assert pools == [{image.tobytes() for image in images[part == name]} for name in scenes.SCENES]
    assert not pools[2] & pools[0] and not pools[1] & pools[0]


def test_a_scenes_label_is_the_digit_that_is_there() -> None:
    """A single digit, drawn upright: its ink is where the label is."""
    images = np.zeros((2, 8, 8))
    images[0, 2:6, 2:6] = images[1, 1:7, 3:5] = 1
    _, places = scenes.scene(images, np.array([3, 7]), np.random.RandomState(0))
    assert set(np.unique(places)) == {0, 4, 8}
