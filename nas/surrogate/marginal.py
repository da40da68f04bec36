"""The posterior of noisy values, averaged over the weights of the kernel and over the noise.

    y(x) = f(x) + ε,   ε ~ N(0, σ² / n(x)) for a mean of n(x) values;   f(x) = g(x) + h(x) + c
    g ~ GP(0, A k),   h ~ N(0, δ²) for each x on its own,   c ~ N(0, 1)

k is the kernel of nas.surrogate.process. Its weights, A, δ² and σ² have log-normal priors, and the differences of
replicates are data on σ² too. A few dozen observations leave all of these uncertain, and the most probable ones take
luck for an effect: intervals are too short and the best point is expected to be too good. So the posterior of f is
averaged over a sample of them, drawn by Hamiltonian Monte Carlo (Neal 2011; for Gaussian processes: Neal 1998).
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

from nas.surrogate.process import FloatArray

# Prior medians of Σ w, Σ a, s, A, δ² and σ², where y has the variance 1, and standard deviations of their logarithms.
# They are wide: most groups may matter hardly at all, and from none to all of the variance of y may be noise.
SPREAD, LINEAR, SCALE, AMPLITUDE, ROUGH, NOISE = 0.3, 0.2, 1.0, 0.3, 0.05, 0.2
WIDTH = (2.0, 2.0, 0.5, 2.0, 2.0, 2.0)
SAMPLE_ON = 100  # the most observations from which the sample is drawn: more tell f more, but the weights hardly
ROUNDS = 15  # iterations to the most probable weights, from which the chain starts
BURN_IN, DRAWS = 4, 16  # steps of the chain before the sample, and those of it
LEAPS, STEP = 8, 0.2  # of one step of the chain, in prior standard deviations


class Data(NamedTuple):
    """The observations of n points.

    rows     the feature rows, (n, F)
    group    the number of the group of every column, (F,)
    y        the mean of the values of every point, of mean 0 and variance 1 over the points, (n,)
    counts   the number of its values, (n,)
    squares  the sum of the squared differences of all values from the means of their points
    degrees  the degrees of freedom of `squares`
    """

    rows: FloatArray
    group: NDArray[np.intp]
    y: FloatArray
    counts: NDArray[np.intp]
    squares: float
    degrees: int

    def some(self, most: int) -> Data:
        """Return at most so many of the points, evenly spaced."""
        if len(self.y) <= most:
            return self
        chosen = np.unique(np.linspace(0, len(self.y) - 1, most).astype(int))
        return self._replace(rows=self.rows[chosen], y=self.y[chosen], counts=self.counts[chosen])


class Belief(NamedTuple):
    """The posterior of f at n points: its mean, (n,), its covariance, (n, n), and the mean of σ²."""

    mean: FloatArray
    covariance: FloatArray
    noise: float


def marginal(data: Data) -> Belief:
    """Return the posterior of f at the points of the data, averaged over the weights. It is the same in every call."""
    weights = _sample(Model(data.some(SAMPLE_ON)), np.random.default_rng(0))
    model = Model(data)
    beliefs = [model.given(each) for each in weights]
    means = np.stack([each.mean for each in beliefs])
    covariance = np.mean([each.covariance for each in beliefs], axis=0) + np.cov(means.T, bias=True)
    return Belief(means.mean(0), covariance, float(np.mean([each.noise for each in beliefs])))


class Model:
    """The probability of the logarithms of the weights w, a, s, A, δ² and σ² given the data, and f given both."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.groups = groups = int(data.group.max()) + 1
        self.prior = np.log([SPREAD / groups] * groups + [LINEAR / groups] * groups + [SCALE, AMPLITUDE, ROUGH, NOISE])
        self.width = np.repeat(WIDTH, (groups, groups, 1, 1, 1, 1))
        lower = np.tril_indices(len(data.y))  # the matrices are symmetric: half of them is enough
        self._pairs = np.ravel_multi_index(lower, (len(data.y), len(data.y)))
        columns = [data.rows[:, data.group == g] for g in range(groups)]
        products = np.stack([part @ part.T for part in columns])
        norms = np.einsum("gnn->gn", products)
        apart = norms[:, :, None] + norms[:, None, :] - 2 * products
        self._apart, self._products = apart[:, *lower], products[:, *lower]  # (G, pairs)

    def given(self, log: FloatArray) -> Belief:
        """Return the posterior of f with these weights."""
        below, _, _ = self._covariance(log)
        prior = below + np.tril(below, -1).T
        noise = float(np.exp(log[-1]))
        lower = cholesky(prior + np.diag(noise / self.data.counts), lower=True, check_finite=False)
        explained = cho_solve((lower, True), prior, check_finite=False)
        return Belief(explained.T @ self.data.y, prior - prior @ explained, noise)

    def loss(self, log: FloatArray) -> tuple[float, FloatArray]:
        """Return −log p(weights | data) up to a constant, and its gradient with respect to log = ln(weights)."""
        data, n, groups = self.data, len(self.data.y), self.groups
        covariance, joint, linear = self._covariance(log)
        rough, noise = np.exp(log[-2:])
        covariance[np.diag_indices(n)] += noise / data.counts
        lower, failed = dpotrf(covariance, lower=1)  # directly: scipy's functions take as long as the work on it
        if failed:
            raise LinAlgError
        alpha = dpotrs(lower, data.y, lower=1)[0]
        twice = np.outer(alpha, alpha) - dpotri(lower, lower=1)[0]  # 2 · ∂ log p(y | weights) / ∂ covariance, below
        diagonal = np.diag(twice).copy()
        twice[np.diag_indices(n)] /= 2  # below, a pair of two points counts for both orders
        change = twice.take(self._pairs)
        gradient = np.empty_like(log)
        gradient[:groups] = np.exp(log[:groups]) * (self._apart @ (change * joint))
        gradient[groups : 2 * groups] = -np.exp(log[groups : 2 * groups] + log[-3]) * (self._products @ change)
        gradient[-4:-2] = -(change @ joint), -(change @ (joint + linear))
        gradient[-2:] = -rough * diagonal.sum() / 2, -noise * (diagonal / data.counts).sum() / 2
        gradient[-1] += data.degrees / 2 - data.squares / 2 / noise
        from_prior = (log - self.prior) / self.width
        loss = data.y @ alpha / 2 + np.log(np.diag(lower)).sum() + (from_prior**2).sum() / 2
        loss += data.degrees / 2 * log[-1] + data.squares / 2 / noise
        return float(loss), gradient + from_prior / self.width

    def _covariance(self, log: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the lower half of the prior covariance of f, (n, n), and the two terms of A k in it, each (pairs,)."""
        groups, n = self.groups, len(self.data.y)
        joint = np.exp(log[-4] + log[-3] - np.exp(log[:groups]) @ self._apart)
        linear = np.exp(log[groups : 2 * groups] + log[-3]) @ self._products
        covariance = np.zeros((n, n))
        covariance.put(self._pairs, joint + linear + 1)
        covariance[np.diag_indices(n)] += np.exp(log[-2])
        return covariance, joint, linear


def _sample(model: Model, rng: np.random.Generator) -> list[FloatArray]:
    """Return a sample of the logarithms of the weights."""
    start = model.prior.copy()
    start[-1] = np.log((model.data.squares + NOISE) / (model.data.degrees + 1))
    bounds = list(zip(start - 4 * model.width, start + 4 * model.width, strict=True))
    options = {"maxiter": ROUNDS}
    found: Any = minimize(model.loss, start, method="L-BFGS-B", jac=True, bounds=bounds, options=options)
    log, (loss, gradient), unit = found.x, model.loss(found.x), model.width.copy()
    unit[-1] = min(unit[-1], (2 / max(model.data.degrees, 1)) ** 0.5)  # the replicates alone tell ln σ² so well
    drawn = []
    for _ in range(BURN_IN + DRAWS):
        momentum, length = rng.normal(size=len(log)), STEP * rng.uniform(0.6, 1.4)
        energy, ahead, there, slope = loss + momentum @ momentum / 2, log, loss, gradient
        accepted = np.log(rng.random())
        with contextlib.suppress(LinAlgError), np.errstate(all="ignore"):  # overflow: so improbable that it is rejected
            for _ in range(LEAPS):
                momentum = momentum - length / 2 * unit * slope
                ahead = ahead + length * unit * momentum
                there, slope = model.loss(ahead)
                momentum = momentum - length / 2 * unit * slope
            if accepted < energy - there - momentum @ momentum / 2:
                log, loss, gradient = ahead, there, slope
        drawn.append(log)
    return drawn[BURN_IN:]
