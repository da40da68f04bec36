"""Acquisition functions: the expected improvement of a candidate, where every objective is maximised."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]


def exceeding(mean: Array, deviation: Array, level: Array | float) -> Array:
    """Return E[max(0, Y − level)] for Y ~ N(mean, deviation²), by broadcasting."""
    u = (mean - level) / deviation
    return np.asarray(deviation * (u * ndtr(u) + np.exp(-u * u / 2) / math.sqrt(2 * math.pi)))


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Return the expected improvement over `best` (Mockus 1978): (N,) → (N,)."""
    return exceeding(mean, deviation, best)


def expected_hypervolume_improvement(mean: Array, deviation: Array, front: Array, reference: Array) -> Array:
    """Return the expected growth of the hypervolume over `reference` (Emmerich 2006): (N, M) → (N,).

    The objectives are independent. The region that no point of the front dominates is divided into boxes; the expected
    part of a box [l, u] that a candidate covers is Π_m (E[(Y_m − l_m)⁺] − E[(Y_m − u_m)⁺]).
    """
    lower, upper = boxes(front, reference)
    value = np.ones((len(mean), len(lower)))
    for m in range(mean.shape[1]):
        levels, place = np.unique(np.concatenate([lower[:, m], upper[:, m]]), return_inverse=True)
        above = np.zeros((len(mean), len(levels)))
        finite = np.isfinite(levels)
        above[:, finite] = exceeding(mean[:, m, None], deviation[:, m, None], levels[finite])
        value *= above[:, place[: len(lower)]] - above[:, place[len(lower) :]]
    return np.asarray(value.sum(1))


def boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Return disjoint boxes that fill the region above `reference` that no point of the front dominates.

    Lower and upper corners are (B, M). The region is sliced along the last objective: in a slice, only the points that
    reach above it dominate anything.
    """
    front = front[(front > reference).all(1)]
    if front.shape[1] == 1:
        low = max(front[:, 0].max(initial=-np.inf), reference[0])
        return np.array([[low]]), np.array([[np.inf]])
    levels = np.concatenate([[reference[-1]], np.unique(front[:, -1]), [np.inf]])
    lowers, uppers = [], []
    for low, high in itertools.pairwise(levels):
        lower, upper = boxes(front[front[:, -1] >= high, :-1], reference[:-1])
        lowers.append(np.column_stack([lower, np.full(len(lower), low)]))
        uppers.append(np.column_stack([upper, np.full(len(upper), high)]))
    return np.concatenate(lowers), np.concatenate(uppers)


def spread_out(front: Array, count: int) -> Array:
    """Return at most `count` rows of a front: the best of each objective, then always the farthest from those."""
    if len(front) <= count:
        return front
    scaled = (front - front.min(0)) / np.maximum(np.ptp(front, 0), 1e-12)
    chosen = list(dict.fromkeys(front.argmax(0).tolist()))
    distance = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in chosen], 0)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
    return front[chosen]
