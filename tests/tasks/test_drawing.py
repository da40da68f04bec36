"""Digits are drawn where they should be: against the image itself, against numpy's own rotation, and piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

from nas.tasks import Array
from nas.tasks.drawing import fragments, painted


@pytest.fixture
def images() -> Array:
    return np.random.RandomState(0).uniform(size=(5, 8, 8))


def test_an_image_that_is_only_moved_is_itself(images: Array) -> None:
    middles = np.array([(3.5, 3.5), (3.5, 4.5), (8.5, 3.5), (6.5, 7.5), (8.5, 8.5)])
    canvases = painted(images, middles, np.ones(5), np.zeros(5), 13)
    for image, (y, x), canvas in zip(images, (middles - 3.5).astype(int), canvases, strict=True):
        assert np.allclose(canvas[y : y + 8, x : x + 8], image)
        canvas[y : y + 8, x : x + 8] = 0
        assert canvas.max() <= 0.002  # an edge is drawn a thousandth too wide


@pytest.mark.parametrize("quarters", range(4))
def test_a_quarter_of_a_turn_is_numpys(images: Array, quarters: int) -> None:
    canvases = painted(images, np.full((5, 2), 3.5), np.ones(5), np.full(5, quarters * np.pi / 2), 8)
    assert np.allclose(canvases, np.rot90(images, quarters, axes=(1, 2)))


def test_an_image_twice_as_large_shows_each_pixel_between_two(images: Array) -> None:
    canvases = painted(images, np.full((5, 2), 7.0), np.full(5, 2.0), np.zeros(5), 15)
    assert np.allclose(canvases[:, ::2, ::2], images)
    assert np.allclose(canvases[:, 1::2, ::2], (images[:, :-1] + images[:, 1:]) / 2)


def test_an_image_depends_on_no_other(images: Array) -> None:
    random = np.random.RandomState(1)
    middles, scales, angles = random.uniform(0, 20, (5, 2)), random.uniform(0.5, 3, 5), random.uniform(-3, 3, 5)
    canvases = painted(images, middles, scales, angles, 20)
    assert canvases.shape == (5, 20, 20)
    assert np.array_equal(canvases[2:4], painted(images[2:4], middles[2:4], scales[2:4], angles[2:4], 20))


def test_a_fragment_is_three_lines(images: Array) -> None:
    pieces = fragments(images[:2], np.array([0, 5]), np.array([True, False]))
    assert np.array_equal(pieces[0, :3], images[0, :3]) and not pieces[0, 3:].any()
    assert np.array_equal(pieces[1, :, 5:], images[1, :, 5:]) and not pieces[1, :, :5].any()
