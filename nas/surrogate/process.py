"""The surrogate model: a Gaussian process over feature vectors whose columns form groups, one for each feature.

    y(x) = f(x) + ε,   f ~ GP(0, k),   ε ~ N(0, noise)
    k(x, x') = s · exp(−Σ_g w_g ‖x_g − x'_g‖²) + Σ_g a_g ⟨x_g, x'_g⟩

The first term models interactions of all groups, the second additive effects. If a group has a column for every
category, with 1/√2 where it is chosen, ‖x_g − x'_g‖² is 0 or 1 and the first term is a weighted Hamming kernel. The
weights w and a, the scale s and the variance of the noise are those of the largest posterior probability given the
data, with log-normal priors. (Rasmussen and Williams 2006, chapters 2 and 5; additive terms: Duvenaud et al. 2011.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

FloatArray = NDArray[np.float64]

SPREAD, LINEAR, SCALE, NOISE = 1.5, 0.7, 1.0, 0.02  # prior medians: of Σ w, of Σ a, of s, of the noise
WIDTH = (1.0, 1.0, 0.5, 1.0)  # prior standard deviations of their logarithms
FIT_ON = 150  # the most observations to which the weights are fitted: a fit takes O(n³), and more hardly change it


class Weights(NamedTuple):
    """The weights of the kernel: w (`spread`) and a (`linear`) of every group, s (`scale`), and the noise variance."""

    spread: FloatArray
    linear: FloatArray
    scale: float
    noise: float


class GaussianProcess:
    """A Gaussian process for one standardised quantity (mean 0, variance 1), with its kernel weights.

    groups  the number of groups, G
    before  a process of fewer groups, whose fitted weights are the first ones; by default they are the prior medians
    """

    def __init__(self, groups: int, before: GaussianProcess | None = None) -> None:
        medians = [SPREAD / groups] * groups + [LINEAR / groups] * groups + [SCALE, NOISE]
        self.groups = groups
        self._prior = np.log(medians)
        self._width = np.repeat(WIDTH, (groups, groups, 1, 1))
        self._log = self._prior.copy()
        if before is not None:
            self._log[: before.groups] = before._log[: before.groups]
            self._log[groups : groups + before.groups] = before._log[before.groups : -2]
            self._log[-2:] = before._log[-2:]

    @property
    def weights(self) -> Weights:
        """The current weights of the kernel."""
        values = np.exp(self._log)
        return Weights(values[: self.groups], values[self.groups : -2], values[-2], values[-1])

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        group: NDArray[np.intp],
        noise: FloatArray | None = None,
        rounds: int = 40,
    ) -> None:
        """Fit the weights to observations: the largest posterior probability, found by L-BFGS from the current weights.

        x       the feature rows, (n, F)
        y       the observed values, (n,)
        group   the number of the group of every column, (F,)
        noise   noise variance of every observation in addition to that of the weights, (n,)
        rounds  the most iterations
        """
        noise = np.zeros(len(y)) if noise is None else noise
        if len(y) > FIT_ON:
            chosen = np.unique(np.linspace(0, len(y) - 1, FIT_ON).astype(int))
            x, y, noise = x[chosen], y[chosen], noise[chosen]
        products = np.stack([x[:, group == g] @ x[:, group == g].T for g in range(self.groups)])  # (G, n, n)
        norms = np.einsum("gnn->gn", products)
        apart = norms[:, :, None] + norms[:, None, :] - 2 * products
        flat = apart.reshape(self.groups, -1), products.reshape(self.groups, -1)
        bounds = list(zip(self._prior - 4 * self._width, self._prior + 4 * self._width, strict=True))
        loss, options = self._negative_log_posterior, {"maxiter": rounds}
        found: Any = minimize(loss, self._log, (y, noise, *flat), "L-BFGS-B", jac=True, bounds=bounds, options=options)
        self._log = found.x

    def _negative_log_posterior(
        self, log: FloatArray, y: FloatArray, additional: FloatArray, apart: FloatArray, products: FloatArray
    ) -> tuple[float, FloatArray]:
        """Return −log p(weights | y) up to a constant, and its gradient with respect to log = ln(weights).

        additional       noise variance of every observation besides that of the weights, (n,)
        apart, products  ‖x_g − x'_g‖² and ⟨x_g, x'_g⟩ of every pair of observations, each (G, n²)
        """
        n, groups = len(y), self.groups
        spread, linear, (scale, noise) = np.exp(log[:groups]), np.exp(log[groups:-2]), np.exp(log[-2:])
        joint = (scale * np.exp(-(spread @ apart))).reshape(n, n)
        covariance = joint + (linear @ products).reshape(n, n)
        covariance[np.diag_indices(n)] += noise + additional
        lower = cholesky(covariance, lower=True, check_finite=False)
        inverse = cho_solve((lower, True), np.eye(n), check_finite=False)
        alpha = inverse @ y
        twice = np.outer(alpha, alpha) - inverse  # 2 · ∂ log p(y | weights) / ∂ covariance
        gradient = np.empty_like(log)
        gradient[:groups] = spread * (apart @ (twice * joint).ravel()) / 2
        gradient[groups:-2] = -linear * (products @ twice.ravel()) / 2
        gradient[-2:] = -(twice * joint).sum() / 2, -noise * np.trace(twice) / 2
        from_prior = (log - self._prior) / self._width
        loss = y @ alpha / 2 + np.log(np.diag(lower)).sum() + (from_prior**2).sum() / 2
        return float(loss), gradient + from_prior / self._width

    def given(
        self, x: FloatArray, y: FloatArray, group: NDArray[np.intp], noise: FloatArray | None = None
    ) -> Posterior:
        """Return the posterior given y (n,) at x (n, F), with the current weights.

        group  the number of the group of every column, (F,)
        noise  noise variance of every observation in addition to that of the weights, (n,)
        """
        return Posterior(self.weights, x, y, group, noise)


class Posterior:
    """The posterior of f given observations y (n,) at X (n, F), with noise variances Σ = diag(noise + additional).

        mean(x) = k(x, X) (k(X, X) + Σ)⁻¹ y
        var(x)  = k(x, x) − k(x, X) (k(X, X) + Σ)⁻¹ k(X, x)

    (Rasmussen and Williams 2006, equations 2.25 and 2.26.) Raises numpy.linalg.LinAlgError if k(X, X) + Σ is singular.
    """

    def __init__(
        self, weights: Weights, x: FloatArray, y: FloatArray, group: NDArray[np.intp], noise: FloatArray | None = None
    ) -> None:
        self._weights, self._y = weights, y
        self._root_spread, self._root_linear = np.sqrt(weights.spread)[group], np.sqrt(weights.linear)[group]
        self._x = x
        self._noise = np.full(len(y), weights.noise) if noise is None else weights.noise + noise
        covariance = self.kernel(x)
        covariance[np.diag_indices(len(y))] += self._noise
        self._lower = cholesky(covariance, lower=True, check_finite=False)
        self._alpha = cho_solve((self._lower, True), y, check_finite=False)

    def kernel(self, x: FloatArray, other: FloatArray | None = None) -> FloatArray:
        """Return k(x, other), (N, n); `other` is X unless it is given."""
        other = self._x if other is None else other
        scaled, observed = x * self._root_spread, other * self._root_spread
        joint = 2 * (scaled @ observed.T)
        joint -= (scaled**2).sum(1)[:, None]
        joint -= (observed**2).sum(1)
        np.exp(joint, out=joint)
        joint *= self._weights.scale
        joint += (x * self._root_linear) @ (other * self._root_linear).T
        return joint

    def mean(self, x: FloatArray) -> FloatArray:
        """Return the posterior mean at x (N, F), (N,)."""
        return np.asarray(self.kernel(x) @ self._alpha)

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return posterior mean and standard deviation of f at x (N, F), each (N,). They exclude the noise ε."""
        belief = self.at(x)
        return belief.mean, belief.deviation

    def at(self, x: FloatArray) -> Belief:
        """Return the posterior at x (N, F), some of which may then be taken for observed."""
        kernel = self.kernel(x)
        explained = solve_triangular(self._lower, kernel.T, lower=True, check_finite=False)
        variance = self._weights.scale + ((x * self._root_linear) ** 2).sum(1) - (explained**2).sum(0)
        covariance = functools.partial(self.kernel, x)
        return Belief(kernel @ self._alpha, variance, explained, x, covariance, self._weights.noise)

    def believing(self, x: FloatArray) -> Posterior:
        """Return the posterior after y = mean(x) was also observed at x (N, F), so that the next acquisition avoids x.

        This is the kriging believer (Ginsbourger et al. 2010). The mean stays as it is, the deviation shrinks near x.
        """
        group = np.arange(len(self._root_spread))
        weights = Weights(self._root_spread**2, self._root_linear**2, self._weights.scale, self._weights.noise)
        noise = np.concatenate([self._noise, np.full(len(x), weights.noise)]) - weights.noise
        return Posterior(weights, np.concatenate([self._x, x]), np.concatenate([self._y, self.mean(x)]), group, noise)


@dataclass
class Belief:
    """The posterior of f at points x (N, F), which it shares with a `Posterior`, as some of them are observed as well.

    mean        of f, (N,)
    variance    of f, (N,)
    explained   L⁻¹ k(X, x) for the Cholesky factor L of k(X, X) + Σ, (n, N)
    covariance  other (m, F) → k(x, other), (N, m)
    noise       the noise variance of an observation
    """

    mean: FloatArray
    variance: FloatArray
    explained: FloatArray
    x: FloatArray
    covariance: Callable[[FloatArray], FloatArray]
    noise: float

    @property
    def deviation(self) -> FloatArray:
        """The standard deviation of f, without the noise ε, (N,)."""
        return np.sqrt(np.maximum(self.variance, 1e-12))

    def believe(self, place: int) -> None:
        """Take y = mean[place] for observed at x[place], as `Posterior.believing` does: one row more of L⁻¹ k(X, x)."""
        shared = self.covariance(self.x[place : place + 1])[:, 0] - self.explained.T @ self.explained[:, place]
        row = shared / math.sqrt(max(shared[place], 0.0) + self.noise)
        self.explained, self.variance = np.vstack([self.explained, row]), self.variance - row**2


def normal_scores(y: FloatArray) -> FloatArray:
    """Return the quantiles of N(0, 1) at the ranks of y, standardised: (n,) → (n,).

    They do not depend on the unit of y and have no outliers. Equal values have the mean of their ranks.
    """
    from scipy.special import ndtri

    _, place, count = np.unique(y, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return standardised(ndtri((rank - 0.5) / len(y)))


def standardised(y: FloatArray) -> FloatArray:
    """Return (y − mean) / standard deviation; zeros where all values are equal."""
    deviation = y.std()
    return (y - y.mean()) / deviation if deviation > 1e-12 * max(1.0, math.fabs(y.mean())) else np.zeros_like(y)
