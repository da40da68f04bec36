"""Replicates: their means, and the noise that their differences tell."""

import numpy as np
import pytest

from nas.surrogate import replicates


def test_means_counts_and_squares() -> None:
    pooled = replicates.pool([np.array([1.0, 3.0]), np.array([5.0]), np.array([2.0, 2.0, 5.0])])
    np.testing.assert_allclose(pooled.mean, [2, 5, 3])
    np.testing.assert_array_equal(pooled.count, [2, 1, 3])
    assert pooled.degrees == 3
    assert pooled.squares == pytest.approx(2 + 6)


@pytest.mark.parametrize("values", [[[1.0], [2.0], [3.0]], [[1.0, 1.0], [2.0, 2.0], [3.0]]], ids=["single", "equal"])
def test_values_that_do_not_differ_tell_of_no_noise(values: list[list[float]]) -> None:
    assert replicates.pool([np.array(each) for each in values]).noise == 0


def test_many_replicates_tell_the_noise_whatever_the_means_are() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(mean, 0.3, rng.integers(1, 5)) for mean in rng.normal(0, 10, 400)]
    pooled = replicates.pool(values)
    alone = pooled.squares / pooled.degrees
    assert alone**0.5 == pytest.approx(0.3, rel=0.1)
    assert pooled.noise**0.5 == pytest.approx(0.3, rel=0.1)


def test_a_few_replicates_are_drawn_towards_a_share_of_the_variance_of_the_means() -> None:
    """Two values that happen to be nearly equal do not say that there is no noise."""
    pooled = replicates.pool([np.array([1.0, 1.0 + 1e-9]), np.array([3.0])])
    assert pooled.noise == pytest.approx(replicates.PRIOR * pooled.mean.var() / 2)
