"""The posterior that is averaged over the weights of the kernel and the noise."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from nas.surrogate.marginal import Data, Model, marginal
from nas.surrogate.process import standardised

RNG = np.random.default_rng(0)


def data(n: int = 9, degrees: int = 7, noise: float = 0.1) -> Data:
    """Return observations that depend on the first of three groups."""
    rows = RNG.normal(size=(n, 6))
    y = rows[:, 0] + 0.2 * RNG.normal(size=n)
    group, counts = np.array([0, 0, 1, 2, 2, 2]), RNG.integers(1, 4, n)
    return Data(rows, group, (y - y.mean()) / y.std(), counts, noise * degrees, degrees)


def test_the_gradient_of_the_weights_is_right() -> None:
    model = Model(data())
    at = model.prior + RNG.normal(0, 0.5, len(model.prior))
    assert check_grad(lambda log: model.loss(log)[0], lambda log: model.loss(log)[1], at) < 1e-4


def test_the_posterior_given_weights_is_that_of_the_textbook() -> None:
    """Rasmussen and Williams 2006, equations 2.25 and 2.26, and the kernel from its definition."""
    given = data()
    model = Model(given)
    log = model.prior + RNG.normal(0, 0.5, len(model.prior))
    weights = np.exp(log)
    spread, linear, (scale, amplitude, rough, noise) = weights[:3], weights[3:6], weights[6:]

    def kernel(x: np.ndarray, z: np.ndarray) -> float:
        apart = sum(w * ((x - z)[given.group == g] ** 2).sum() for g, w in enumerate(spread))
        along = sum(a * (x * z)[given.group == g].sum() for g, a in enumerate(linear))
        return amplitude * (scale * np.exp(-apart) + along) + 1

    prior = np.array([[kernel(a, b) for b in given.rows] for a in given.rows]) + rough * np.eye(len(given.y))
    gain = prior @ np.linalg.inv(prior + np.diag(noise / given.counts))
    belief = model.given(log)
    np.testing.assert_allclose(belief.mean, gain @ given.y, atol=1e-9)
    np.testing.assert_allclose(belief.covariance, prior - gain @ prior, atol=1e-9)
    assert belief.noise == pytest.approx(noise)


def test_many_replicates_tell_the_noise() -> None:
    assert marginal(data(n=20, degrees=2000, noise=0.02)).noise == pytest.approx(0.02, rel=0.1)


def test_the_sample_is_of_the_probability_of_the_noise() -> None:
    """Without effects of the features, the noise of many points is known from them as well."""
    rows, y = RNG.normal(size=(60, 6)), standardised(RNG.normal(size=60))
    belief = marginal(Data(rows, np.array([0, 0, 1, 2, 2, 2]), y, np.ones(60, dtype=int), 1.0, 1))
    assert 0.5 < belief.noise < 1.3
    assert np.abs(belief.mean).max() < 0.8


def test_the_average_is_the_same_in_every_call_and_its_covariance_is_one() -> None:
    given = data(n=25)
    first, again = marginal(given), marginal(given)
    np.testing.assert_array_equal(first.mean, again.mean)
    np.testing.assert_allclose(first.covariance, first.covariance.T)
    assert np.linalg.eigvalsh(first.covariance).min() > -1e-9


def test_values_that_are_all_equal_but_one_do_no_harm() -> None:
    """The standardised values have an outlier, and the weights are far from their priors."""
    given = data(n=30)
    y = np.full(30, -(1 / 29**0.5))
    y[7] = 29**0.5
    belief = marginal(given._replace(y=y))
    assert np.isfinite(belief.mean).all()
    assert np.isfinite(belief.covariance).all()
    assert belief.mean.argmax() == 7
