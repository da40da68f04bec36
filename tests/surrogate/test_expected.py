"""What is expected of noisy topologies: not biased by luck, with intervals that hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from nas.surrogate.expected import FEW, MOST, Expected, expected
from nas.surrogate.points import Point
from tests.surrogate.planted import Searched, searched


def point(i: int) -> Point:
    """Return the point i of three features, each another one."""
    return Point({}, i, {"op": str(i % 3), "skip": str(i // 3 % 4), "source": str(i // 12)})


def beliefs(mean: list[float], covariance: np.ndarray, noise: float = 1.0) -> Expected:
    """Return beliefs with this mean and covariance."""
    n, means = len(mean), np.array(mean)
    return Expected(means, np.ones(n, int), noise, 9, means, np.diag(covariance), np.arange(n), covariance)


def difference(found: Expected, a: int, b: int) -> tuple[float, float]:
    means, widths = found.differences(a)
    return float(means[b]), float(widths[b])


@pytest.mark.parametrize("values", [[[1.0], [3.0], [2.0]], [[1.0, 1.0], [3.0], [2.0]]], ids=["single", "equal"])
def test_without_noise_what_was_observed_is_expected(values: list[list[float]]) -> None:
    found = expected(point, [np.array(each) for each in values])
    np.testing.assert_array_equal(found.mean, [1, 3, 2])
    assert found.best == 1
    assert not found.half_width.any()
    assert found.not_separated().tolist() == [False, True, False]
    assert found.worth_repeating() is None


def test_a_lucky_value_does_not_win() -> None:
    """One value of a topology is high; the mean of five of another is a little lower, and so are its neighbours'."""
    rng = np.random.default_rng(0)
    values = [rng.normal(0, 0.5, 1) for _ in range(24)]
    values[3], values[8] = np.array([1.6]), np.array([1.4, 1.9, 0.9, 1.5, 1.3])
    found = expected(point, values)
    assert found.observed.argmax() == 3
    assert found.best == 8
    assert found.mean[3] < 1.4
    assert found.half_width[3] > 1.5 * found.half_width[8]
    assert found.not_separated()[[3, 8]].all()


def test_the_unit_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    values = [rng.normal(i % 3, 0.3, 1 + i % 2) for i in range(20)]
    one, other = expected(point, values), expected(point, [100 + 50 * each for each in values])
    np.testing.assert_allclose(100 + 50 * one.mean, other.mean, rtol=1e-3)
    np.testing.assert_allclose(50 * one.half_width, other.half_width, rtol=1e-2)


def test_values_far_below_the_others_change_nothing() -> None:
    rng = np.random.default_rng(2)
    values = [rng.normal(i % 3, 0.3, 1 + i % 2) for i in range(20)]
    near, far = ([*values, np.array([value])] for value in (-1e2, -1e6))
    one, other = (expected(point, each) for each in (near, far))
    np.testing.assert_allclose(one.mean[:20], other.mean[:20])
    assert (one.mean[20], other.mean[20]) == (-1e2, -1e6)
    assert other.deviation[20] == pytest.approx(other.noise**0.5)


def test_of_many_points_those_that_are_not_in_the_model_keep_their_values() -> None:
    rng = np.random.default_rng(3)
    values = [rng.normal(i % 3, 0.3, 1 + i % 2) for i in range(MOST + 50)]
    found = expected(point, values)
    kept = found.mean == found.observed
    assert kept.sum() == 50
    np.testing.assert_allclose(found.deviation[kept], np.sqrt(found.noise / found.count[kept]))
    assert not kept[found.observed.argsort()[-MOST // 2 :]].any()


def test_differences_have_the_variance_of_a_difference() -> None:
    found = beliefs([0.0, 1.0, 3.0], np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert difference(found, 0, 1) == pytest.approx((-1, 1.96 * 0.2**0.5), rel=1e-3)
    assert difference(found, 2, 0) == pytest.approx((3, 1.96 * 2**0.5), rel=1e-3)
    assert difference(found, 1, 1) == (0, 0)
    assert found.not_separated().tolist() == [False, True, True]


def test_the_gain_of_a_few_more_values_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(4)
    root = rng.normal(size=(4, 4))
    found = beliefs([0.0, 0.3, 0.5, -1.0], root @ root.T, noise=0.5)
    for point, gain in enumerate(found.gain()):
        column = found.covariance[point]
        variance = column[point] + found.noise / FEW  # of the mean of the values
        seen = rng.normal(0, variance**0.5, 200_000)  # less what is expected
        then = found.mean + seen[:, None] * column / variance
        assert gain == pytest.approx(then.max(1).mean() - found.mean.max(), abs=0.02)


def test_a_value_on_its_way_makes_another_worth_less() -> None:
    found = beliefs([0.0, 0.1], np.eye(2))
    assert found.worth_repeating() in (0, 1)
    assert found.gain(pending=[0])[0] < 0.6 * found.gain()[0]
    assert found.worth_repeating(pending=[0]) == 1
    assert beliefs([0.0, 9.0], np.eye(2)).worth_repeating() is None  # the best is the best whatever is found


def pooled(found: list[Searched]) -> tuple[float, float, float]:
    """Return the coverage over all points and at the recommended ones, and the mean bias of the latter."""
    everywhere = np.concatenate([each.covered for each in found]).mean()
    best = np.mean([each.covered[each.expected.best] for each in found])
    return float(everywhere), float(best), float(np.mean([each.bias for each in found]))


def test_a_few_searches_are_not_misled_by_luck() -> None:
    found = [searched(seed, trials=40) for seed in range(6)]
    everywhere, _, bias = pooled(found)
    assert 0.88 <= everywhere <= 0.99
    assert abs(bias) < 0.4 * np.mean([each.luckiest for each in found])


@pytest.mark.slow
def test_coverage_and_bias_of_two_hundred_searches() -> None:
    """Planted noise: the intervals hold the truth as often as they say, and the winner's curse is gone."""
    found = [searched(seed) for seed in range(200)]
    everywhere, best, bias = pooled(found)
    assert 0.93 <= everywhere <= 0.97
    assert best >= 0.90
    assert abs(bias) <= 0.1
    assert np.mean([each.luckiest for each in found]) > 1.5  # the bias of the highest value


def test_each_set_of_rivals_has_its_own_best() -> None:
    found = beliefs([5.0, 1.0, 0.9], np.eye(3))
    assert found.worth_repeating() is None  # the first is far ahead
    sets = np.array([[True, True, True], [False, True, True]])  # but it is too large for the second set
    assert found.worth_repeating(sets) in (1, 2)
    assert found.gain(sets)[0] == pytest.approx(found.gain()[0])
    assert found.gain(sets)[1] == pytest.approx(found.gain()[1] + found.gain(sets[1:])[1])
