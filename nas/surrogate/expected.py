"""What is expected of topologies that were evaluated with noise: not the luckiest value, but what all values tell.

    y = f(x) + ε,  ε ~ N(0, σ²)

The posterior of f is that of a Gaussian process over the features of the topologies, averaged over its weights and σ²
(nas.surrogate.marginal), on which replicates are data (nas.surrogate.replicates). Without replicates nothing tells luck
from merit: then what was observed is what is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.surrogate import replicates
from nas.surrogate.columns import Columns
from nas.surrogate.points import Point
from nas.surrogate.threads import one_thread

if TYPE_CHECKING:
    from nas.surrogate.process import FloatArray

MOST = 200  # the most points of a model: the best, and others from the whole course of the search
FAR = 2  # values farther below the median than so many times the lead of the best over it count as if they were there
QUANTILES = np.array([NormalDist().inv_cdf((n + 0.5) / 32) for n in range(32)])  # of N(0, 1), each as probable
LEVEL = 0.95
DEVIATIONS = NormalDist().inv_cdf((1 + LEVEL) / 2)  # half the width of an interval of LEVEL, in standard deviations
SETTLED = 0.01  # an improvement below this share of the noise's standard deviation settles nothing
FEW = 4  # values of a point that are judged together: under much noise, one alone hardly ever changes the best point


@dataclass(frozen=True)
class Expected:
    """The beliefs about n points, given all their values; more is better.

    observed    the mean of the values of each point, (n,)
    count       the number of its values, (n,)
    noise       the variance of one value about what is expected
    degrees     the degrees of freedom from which `noise` is known; 0 without replicates
    mean        the posterior mean of f at each point, (n,)
    variance    its posterior variance, (n,); 0 without noise
    modelled    the numbers of the points that the model holds; about the others nothing but their own values is known,
                (m,)
    covariance  the posterior covariance of f at these, (m, m)
    """

    observed: FloatArray
    count: NDArray[np.intp]
    noise: float
    degrees: int
    mean: FloatArray
    variance: FloatArray
    modelled: NDArray[np.intp]
    covariance: FloatArray

    @property
    def deviation(self) -> FloatArray:
        """The posterior standard deviation of f at each point, (n,)."""
        return np.sqrt(np.maximum(self.variance, 0))

    @property
    def half_width(self) -> FloatArray:
        """Half the width of the interval about each mean that holds f with probability LEVEL, (n,)."""
        return DEVIATIONS * self.deviation

    @property
    def best(self) -> int:
        """The number of the point of which most is expected."""
        return int(self.mean.argmax())

    def differences(self, point: int) -> tuple[FloatArray, FloatArray]:
        """Return the posterior means of f(point) − f, (n,), and half the widths of their intervals, (n,)."""
        variance = self.variance[point] + self.variance
        for place in np.flatnonzero(self.modelled == point):
            variance[self.modelled] -= 2 * self.covariance[place]
        variance[point] = 0
        width = DEVIATIONS * np.sqrt(np.maximum(variance, 0))
        return self.mean[point] - self.mean, width

    def not_separated(self) -> NDArray[np.bool_]:
        """Return which points may be as good as the best one: zero is in the interval of the difference, (n,)."""
        behind, width = self.differences(self.best)
        return np.asarray(behind <= width)

    def gain(self, rivals: NDArray[np.bool_] | None = None, pending: Sequence[int] = ()) -> FloatArray:
        """Return how much more is expected of the then best point, once each point has FEW values more, (n,).

        It is the knowledge gradient of correlated beliefs (Frazier, Powell and Dayanik 2009), of several values at once
        (Frazier and Powell 2010); 0 for points that are not modelled, which are far behind.

        rivals   the sets of points of each of which the best one is wanted, (sets, n); the gain is their sum. All
                 points are one set unless given
        pending  the points of values that are on their way; they count as if they were what is expected
        """
        covariance, means = self.covariance, self.mean[self.modelled]
        for point in pending:
            for place in np.flatnonzero(self.modelled == point):
                covariance = _after(covariance, int(place), self.noise)
        deviation = np.sqrt(np.maximum(np.diag(covariance) + self.noise / FEW, 1e-300))
        change = covariance / deviation  # of all means, if the mean of the values is one deviation higher, (m, m)
        sets = np.ones((1, len(means)), bool) if rivals is None else rivals[:, self.modelled]
        gain = np.zeros(len(self.mean))
        for own in sets[sets.any(1)]:
            mean, moved = means[own], change[own]
            then = [(mean[:, None] + by[:, None] * QUANTILES).max(0).mean() for by in moved.T]
            gain[self.modelled] += np.array(then) - mean.max()
        return gain

    def worth_repeating(self, rivals: NDArray[np.bool_] | None = None, pending: Sequence[int] = ()) -> int | None:
        """Return the point of which more values gain most (see `gain`); None if none gains anything to speak of."""
        if self.noise == 0 or len(self.mean) < 2:
            return None
        gain = self.gain(rivals, pending)
        chosen = int(gain.argmax())
        return chosen if gain[chosen] > SETTLED * self.noise**0.5 else None


def expected(point: Callable[[int], Point], values: Sequence[FloatArray]) -> Expected:
    """Return what is expected of points of which each has one value or more; more is better.

    point   returns the point of values[i]; it is asked for those of the model alone
    """
    pooled = replicates.pool(values)
    n, mean = len(values), pooled.mean
    if n < 2 or pooled.noise == 0:
        none = np.empty(0, np.intp)
        return Expected(mean, pooled.count, pooled.noise, pooled.degrees, mean, np.zeros(n), none, np.empty((0, 0)))
    chosen = _chosen(mean)
    median = float(np.median(mean))
    lowest = median - FAR * max(float(mean.max()) - median, 1e-300)
    clipped = np.maximum(mean, lowest)
    centre, scale = clipped[chosen].mean(), clipped[chosen].std() or 1.0
    points, columns = [point(i) for i in chosen.tolist()], Columns()
    columns.learn(points)
    y, squares = (clipped[chosen] - centre) / scale, pooled.squares / scale**2
    rows, group = columns.rows(points), columns.group
    if not rows.size:  # no topology can be read: their values are all that is known
        rows, group = np.zeros((len(y), 1)), np.zeros(1, np.intp)
    from nas.surrogate.marginal import Data, marginal  # late: what has no noise needs no scipy

    with one_thread():
        found = marginal(Data(rows, group, y, pooled.count[chosen], squares, pooled.degrees))
    noise = scale**2 * found.noise
    known = mean[chosen] >= lowest  # what is far below counts for the model, but is not foretold by it
    modelled, covariance = chosen[known], scale**2 * found.covariance[np.ix_(known, known)]
    believed, variance = mean.copy(), noise / pooled.count
    believed[modelled], variance[modelled] = centre + scale * found.mean[known], np.diag(covariance)
    return Expected(mean, pooled.count, noise, pooled.degrees, believed, variance, modelled, covariance)


def _chosen(mean: FloatArray) -> NDArray[np.intp]:
    """Return the points of the model: half of MOST are the best, the others are evenly spaced."""
    order = np.argsort(-mean, kind="stable")
    if len(order) <= MOST:
        return np.arange(len(order))
    others = np.sort(order[MOST // 2 :])
    spaced = others[np.unique(np.linspace(0, len(others) - 1, MOST // 2).astype(int))]
    return np.sort(np.concatenate([order[: MOST // 2], spaced]))


def _after(covariance: FloatArray, point: int, noise: float) -> FloatArray:
    """Return the covariance after one more value of a point, whatever it is."""
    column = covariance[:, point]
    return np.asarray(covariance - np.outer(column, column) / max(column[point] + noise, 1e-300))
