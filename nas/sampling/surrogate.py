"""A Gaussian process over feature vectors whose columns form groups: one group for each decision.

    k(x, x') = s · exp(−Σ_g w_g ‖x_g − x'_g‖²) + Σ_g a_g ⟨x_g, x'_g⟩

The first term models interactions of all groups, the second additive effects. With one column for every value of a
decision (1/√2 where it is chosen), ‖x_g − x'_g‖² is 0 or 1: the Hamming kernel. The weights w and a, s and the
variance of the noise maximise the posterior probability given the data, with log-normal priors.
(Rasmussen and Williams 2006, chapters 2 and 5; additive terms: Duvenaud et al. 2011.)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

SPREAD, LINEAR, SCALE, NOISE = 1.5, 0.7, 1.0, 0.02  # prior medians: of Σ w, of Σ a, of s, of the noise
WIDTH = (1.0, 1.0, 0.5, 1.0)  # prior standard deviations of their logarithms
FIT_ON = 150  # the most observations for fitting the weights: more say little about them


class Weights(NamedTuple):
    """The weights of the kernel: w (`spread`) and a (`linear`) of every group, s (`scale`), and the noise variance."""

    spread: Array
    linear: Array
    scale: float
    noise: float


class GaussianProcess:
    """A Gaussian process of one standardised quantity. It may start from one of fewer groups."""

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

    def fit(self, x: Array, y: Array, group: NDArray[np.intp], rounds: int = 40) -> None:
        """Fit the most probable weights, starting from the current ones: x (n, F), y (n,), group of columns (F,)."""
        if len(y) > FIT_ON:
            chosen = np.unique(np.linspace(0, len(y) - 1, FIT_ON).astype(int))
            x, y = x[chosen], y[chosen]
        products = np.stack([x[:, group == g] @ x[:, group == g].T for g in range(self.groups)])  # (G, n, n)
        norms = np.einsum("gnn->gn", products)
        apart = norms[:, :, None] + norms[:, None, :] - 2 * products
        flat = apart.reshape(self.groups, -1), products.reshape(self.groups, -1)
        bounds = list(zip(self._prior - 4 * self._width, self._prior + 4 * self._width, strict=True))
        found: Any = minimize(
            self._improbability, self._log, (y, *flat), "L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": rounds}
        )
        self._log = found.x

    def _improbability(self, log: Array, y: Array, apart: Array, products: Array) -> tuple[float, Array]:
        """Return −log p(weights | y) and its gradient; apart and products are (G, n²)."""
        n, groups = len(y), self.groups
        spread, linear, (scale, noise) = np.exp(log[:groups]), np.exp(log[groups:-2]), np.exp(log[-2:])
        joint = (scale * np.exp(-(spread @ apart))).reshape(n, n)
        covariance = joint + (linear @ products).reshape(n, n)
        covariance[np.diag_indices(n)] += noise
        lower = cholesky(covariance, lower=True, check_finite=False)
        inverse = cho_solve((lower, True), np.eye(n), check_finite=False)
        alpha = inverse @ y
        pull = np.outer(alpha, alpha) - inverse  # d log p / d covariance, twice
        gradient = np.empty_like(log)
        gradient[:groups] = spread * (apart @ (pull * joint).ravel()) / 2
        gradient[groups:-2] = -linear * (products @ pull.ravel()) / 2
        gradient[-2:] = -(pull * joint).sum() / 2, -noise * np.trace(pull) / 2
        from_prior = (log - self._prior) / self._width
        loss = y @ alpha / 2 + np.log(np.diag(lower)).sum() + (from_prior**2).sum() / 2
        return float(loss), gradient + from_prior / self._width

    def given(self, x: Array, y: Array, group: NDArray[np.intp], noise: Array | None = None) -> Posterior:
        """Return the posterior after y (n,) was observed at x (n, F); `noise` (n,) is additional variance."""
        return Posterior(self.weights, x, y, group, noise)


class Posterior:
    """The posterior of the process given observations. Raises numpy.linalg.LinAlgError for a singular covariance."""

    def __init__(
        self, weights: Weights, x: Array, y: Array, group: NDArray[np.intp], noise: Array | None = None
    ) -> None:
        self._weights, self._y = weights, y
        self._near, self._along = np.sqrt(weights.spread)[group], np.sqrt(weights.linear)[group]
        self._x = x
        self._noise = np.full(len(y), weights.noise) if noise is None else weights.noise + noise
        covariance = self._kernel(x)
        covariance[np.diag_indices(len(y))] += self._noise
        self._lower = cholesky(covariance, lower=True, check_finite=False)
        self._alpha = cho_solve((self._lower, True), y, check_finite=False)

    def _kernel(self, x: Array) -> Array:
        """Return k(x, observed), (N, n)."""
        near, observed = x * self._near, self._x * self._near
        joint = 2 * (near @ observed.T)
        joint -= (near**2).sum(1)[:, None]
        joint -= (observed**2).sum(1)
        np.exp(joint, out=joint)
        joint *= self._weights.scale
        joint += (x * self._along) @ (self._x * self._along).T
        return joint

    def mean(self, x: Array) -> Array:
        """Return the posterior mean at x (N, F), (N,)."""
        return np.asarray(self._kernel(x) @ self._alpha)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Return posterior mean and standard deviation at x (N, F), each (N,), without the noise of an observation."""
        kernel = self._kernel(x)
        explained = solve_triangular(self._lower, kernel.T, lower=True, check_finite=False)
        variance = self._weights.scale + ((x * self._along) ** 2).sum(1) - (explained**2).sum(0)
        return kernel @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, x: Array) -> Posterior:
        """Condition on the posterior mean at x, so that the next acquisition avoids x (kriging believer)."""
        group = np.arange(len(self._near))
        weights = Weights(self._near**2, self._along**2, self._weights.scale, self._weights.noise)
        noise = np.concatenate([self._noise, np.full(len(x), weights.noise)]) - weights.noise
        return Posterior(weights, np.concatenate([self._x, x]), np.concatenate([self._y, self.mean(x)]), group, noise)


def normal_scores(y: Array) -> Array:
    """Return the ranks as standardised quantiles of N(0, 1), free of outliers and units: (n,) → (n,)."""
    from scipy.special import ndtri

    _, place, count = np.unique(y, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return standardised(ndtri((rank - 0.5) / len(y)))


def standardised(y: Array) -> Array:
    """Return (y − mean) / standard deviation; zeros where all values are equal."""
    deviation = y.std()
    return (y - y.mean()) / deviation if deviation > 1e-12 * max(1.0, math.fabs(y.mean())) else np.zeros_like(y)
