"""The Gaussian process agrees with the formulas of the textbook."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from nas.surrogate.process import GaussianProcess, Posterior, Weights, normal_scores, standardised

RNG = np.random.default_rng(0)
GROUP = np.array([0, 0, 1, 2, 2, 2])
WEIGHTS = Weights(np.array([0.5, 2.0, 0.1]), np.array([0.3, 0.0, 1.0]), 1.5, 0.01)


def kernel(x: np.ndarray, z: np.ndarray) -> float:
    """Return the kernel of one pair of points, from its definition."""
    apart = sum(w * ((x - z)[g == GROUP] ** 2).sum() for g, w in enumerate(WEIGHTS.spread))
    along = sum(a * (x * z)[g == GROUP].sum() for g, a in enumerate(WEIGHTS.linear))
    return WEIGHTS.scale * np.exp(-apart) + along


def test_a_posterior_is_that_of_the_textbook() -> None:
    """Rasmussen and Williams 2006, equations 2.25 and 2.26."""
    x, y, new = RNG.normal(size=(7, 6)), RNG.normal(size=7), RNG.normal(size=(4, 6))
    noise = RNG.uniform(0, 0.2, 7)
    mean, deviation = Posterior(WEIGHTS, x, y, GROUP, noise)(new)
    inverse = np.linalg.inv([[kernel(a, b) for b in x] for a in x] + np.diag(WEIGHTS.noise + noise))
    across = np.array([[kernel(a, b) for b in x] for a in new])
    variance = [kernel(a, a) - k @ inverse @ k for a, k in zip(new, across, strict=True)]
    np.testing.assert_allclose(mean, across @ inverse @ y, atol=1e-9)
    np.testing.assert_allclose(deviation, np.sqrt(variance), atol=1e-9)


def test_the_gradient_of_the_weights_is_right() -> None:
    x, y = RNG.normal(size=(9, 6)), RNG.normal(size=9)
    process = GaussianProcess(3)
    products = np.stack([x[:, g == GROUP] @ x[:, g == GROUP].T for g in range(3)])
    norms = np.einsum("gnn->gn", products)
    apart = norms[:, :, None] + norms[:, None] - 2 * products
    given = y, RNG.uniform(0, 1, len(y)), apart.reshape(3, -1), products.reshape(3, -1)
    at = RNG.normal(-1, 0.5, 8)
    loss = process._negative_log_posterior
    error = check_grad(lambda log: loss(log, *given)[0], lambda log: loss(log, *given)[1], at)
    assert error < 1e-4


def test_fitted_weights_are_large_for_the_features_that_matter() -> None:
    x = RNG.integers(0, 2, (60, 6)).astype(float)
    group = np.arange(6)
    process = GaussianProcess(6)
    process.fit(x, standardised(x[:, 2] + 0.5 * x[:, 4]), group)
    total = process.weights.spread + process.weights.linear
    assert set(np.argsort(-total)[:2]) == {2, 4}
    assert total[[0, 1, 3, 5]].max() < total[4]


def test_believing_keeps_the_mean_and_lowers_the_deviation() -> None:
    x, y = RNG.normal(size=(5, 6)), RNG.normal(size=5)
    belief = Posterior(WEIGHTS, x, y, GROUP)
    new = RNG.normal(size=(2, 6))
    before, after = belief(new), belief.believing(new)(new)
    np.testing.assert_allclose(before[0], after[0], atol=0.02)
    assert (after[1] < 0.5 * before[1]).all()


@pytest.mark.parametrize("noise", [None, np.full(5, 0.3)])
def test_what_is_believed_one_by_one_is_what_is_believed_at_once(noise: np.ndarray | None) -> None:
    """As long as the mean at a believed point is that of before: the believer's formulas use the means then."""
    x, y, points = RNG.normal(size=(5, 6)), RNG.normal(size=5), RNG.normal(size=(8, 6))
    posterior = Posterior(WEIGHTS, x, y, GROUP, noise)
    belief, expected = posterior.at(points), posterior(points)
    np.testing.assert_array_equal(belief.mean, expected[0])
    np.testing.assert_array_equal(belief.deviation, expected[1])
    for place in (3, 0, 3):
        belief.believe(place)
    at_once = posterior.believing(points[[3, 0, 3]])(points)
    np.testing.assert_allclose(belief.deviation, at_once[1], atol=1e-9)
    np.testing.assert_allclose(belief.mean, at_once[0], atol=0.1)


def test_normal_scores_depend_on_ranks_alone() -> None:
    y = RNG.normal(size=50)
    np.testing.assert_allclose(normal_scores(y), normal_scores(np.exp(3 * y)))
    assert normal_scores(y).std() == pytest.approx(1)
    assert normal_scores(np.array([1.0, 1.0, 2.0]))[0] == normal_scores(np.array([1.0, 1.0, 2.0]))[1]
    assert not normal_scores(np.ones(4)).any()
    assert np.isfinite(normal_scores(np.array([1.0, -np.inf, np.inf]))).all()
