"""Linear models of what decisions are worth: effects with intervals, interactions, and what is explained out of sample.

    y = μ + X β + ε,   β ~ N(0, s²) with s the standard deviation of y

The prior is so wide that it decides only where the data cannot: there the interval is as wide as the prior. ε holds
what is not additive besides noise, so that its variance may differ between topologies: the variance of an effect is the
larger of the usual one and of the one that is consistent in spite of that (HC2, MacKinnon & White 1985), which is too
small where few topologies tell the effect; and what is due to the prior is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

LEVEL = 0.95
FOLDS = 10
RESAMPLES = 2000
UNEXPLAINED = 0.05  # the least share of a column that others do not explain


@dataclass(frozen=True)
class Estimates:
    """Effects with their intervals and the p values of the hypothesis that each is 0; (p,) each."""

    effect: Floats
    low: Floats
    high: Floats
    p: Floats


class Additive:
    """The linear model of y, (n,), by the columns of x, (n, p)."""

    def __init__(self, x: Floats, y: Floats) -> None:
        n, p = x.shape
        self.x, centred = x - x.mean(0), y - y.mean()
        spread, noise = float(centred.var()) or 1.0, _noise(x, y)
        self.inverse = np.linalg.inv(self.x.T @ self.x + max(noise / spread, 1e-9) * np.eye(p))
        self.coefficients = self.inverse @ (self.x.T @ centred)
        leverage = 1 / n + np.einsum("np,pq,nq->n", self.x, self.inverse, self.x)
        self.residuals = centred - self.x @ self.coefficients
        self.inflation = np.maximum(1 - leverage, 1e-9) ** -0.5  # residuals are smaller than ε where leverage is high
        self.degrees = max(float(n - leverage.sum()), 1.0)
        self.noise = float(self.residuals @ self.residuals) / self.degrees
        self.of_prior = noise**2 / spread * (self.inverse**2).sum(0)

    @property
    def few(self) -> bool:
        """Whether there are fewer rows than columns."""
        return bool(self.x.shape[0] < self.x.shape[1])

    @cached_property
    def remainder(self) -> Floats:
        """The matrix that takes from a column of numbers what the columns of x explain of it, (n, n)."""
        found: Floats = np.eye(len(self.x)) - self.x @ self.inverse @ self.x.T
        return found

    def effects(self) -> Estimates:
        """Return the coefficients."""
        weights = self.x @ self.inverse
        robust = ((weights * (self.inflation * self.residuals)[:, None]) ** 2).sum(0)
        variance = np.maximum(robust, self.noise * (weights**2).sum(0)) + self.of_prior
        return self._estimates(self.coefficients, variance, weights)

    def besides(self, columns: Floats) -> Estimates:
        """Return the coefficient of each column, (n, k), if it alone is added to the model.

        It is a regression of the residuals on what of the column the others do not explain (the theorem of Frisch,
        Waugh and Lovell). NaN where they explain nearly all of it.
        """
        columns = columns - columns.mean(0)
        own: Floats = self.remainder @ columns if self.few else columns - self.x @ (self.inverse @ (self.x.T @ columns))
        size = (own**2).sum(0)
        size = np.where(size > UNEXPLAINED * (columns**2).sum(0), size, np.nan)
        value = own.T @ self.residuals / size
        left = self.inflation[:, None] * (self.residuals[:, None] - own * value)
        robust = ((own * left) ** 2).sum(0) / size**2
        return self._estimates(value, np.maximum(robust, self.noise / size), own)

    def _estimates(self, value: Floats, variance: Floats, weights: Floats) -> Estimates:
        """Return the estimates, each with as many degrees of freedom as topologies tell it, by their weights."""
        with np.errstate(invalid="ignore", divide="ignore"):
            telling = (weights**2).sum(0) ** 2 / (weights**4).sum(0)
        degrees, error = np.clip(telling - 1, 1, self.degrees), np.sqrt(variance)
        half = stats.t.ppf((1 + LEVEL) / 2, degrees) * error
        with np.errstate(invalid="ignore", divide="ignore"):
            p = 2 * stats.t.sf(np.abs(value) / error, degrees)
        p = np.where(error == 0, np.where(value == 0, 1.0, 0.0), p)  # without noise
        return Estimates(value, value - half, value + half, p)


def _noise(x: Floats, y: Floats) -> float:
    """Return the variance of ε by type-II maximum likelihood, which also fewer rows than columns can tell."""
    from sklearn.linear_model import BayesianRidge

    if x.shape[1] == 0 or y.std() == 0:
        return float(y.var())
    return float(y.var() / BayesianRidge().fit(x, (y - y.mean()) / y.std()).alpha_)


@dataclass(frozen=True)
class Share:
    """The share of the variance that is explained out of sample, and its bootstrap interval."""

    value: float
    low: float
    high: float


def explained(steps: Sequence[Floats], y: Floats) -> tuple[list[Share], list[Share]]:
    """Return what each step explains together with those before it, and what it adds to them.

    steps  the columns of every step, (n, p) each: a step is a ridge regression of what those before it left

    Each row is predicted by models of the other folds (K-fold cross-validation); intervals are those of the bootstrap
    over rows. Less than 0 is worse than the mean; what is added to such a step is added to nothing.
    """
    errors = np.stack([(y - y.mean()) ** 2, *((y - prediction) ** 2 for prediction in _predictions(steps, y))])
    chosen = np.random.default_rng(0).integers(0, len(y), (RESAMPLES, len(y)))
    drawn = np.stack([row[chosen].sum(1) for row in errors])  # (1 + steps, RESAMPLES)
    total = np.maximum(drawn[0], 1e-300)
    shares = 1 - drawn[1:] / total
    adds = (np.minimum(drawn[:-1], drawn[0]) - drawn[1:]) / total
    sums = errors.sum(1)
    whole = max(float(sums[0]), 1e-300)
    return (
        [_share(1 - after / whole, row) for after, row in zip(sums[1:], shares, strict=True)],
        [_share((min(b, sums[0]) - a) / whole, row) for b, a, row in zip(sums[:-1], sums[1:], adds, strict=True)],
    )


def _share(value: float, drawn: Floats) -> Share:
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Share(float(value), float(low), float(high))


def _predictions(steps: Sequence[Floats], y: Floats) -> list[Floats]:
    """Return the prediction of every row after each step, by models that have not seen its fold."""
    from sklearn.linear_model import BayesianRidge
    from sklearn.model_selection import KFold

    predicted = [np.empty(len(y)) for _ in steps]
    for seen, unseen in KFold(min(FOLDS, len(y)), shuffle=True, random_state=0).split(y):
        so_far, left = np.full(len(unseen), y[seen].mean()), y[seen] - y[seen].mean()
        scale = left.std() or 1.0  # the priors of the model are meant for a variance of 1
        for place, x in enumerate(steps):
            if x.shape[1]:
                model = BayesianRidge().fit(x[seen], left / scale)
                so_far, left = so_far + scale * model.predict(x[unseen]), left - scale * model.predict(x[seen])
            predicted[place][unseen] = so_far
    return predicted
