"""What a candidate is expected to be worth, given what is believed of it: every objective is to be made large."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
ON_FRONT = 40  # points of a front of three objectives and more that boxes are made of: their number is a power of it


def exceeding(mean: Array, deviation: Array, level: Array | float) -> Array:
    """E[max(0, Y − level)] for Y ~ N(mean, deviation²), by broadcasting."""
    u = (mean - level) / deviation
    return np.asarray(deviation * (u * ndtr(u) + np.exp(-u * u / 2) / math.sqrt(2 * math.pi)))


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """By how much the best is exceeded (Mockus 1978). (N,) → (N,)"""
    return exceeding(mean, deviation, best)


def expected_hypervolume_improvement(mean: Array, deviation: Array, front: Array, reference: Array) -> Array:
    """By how much the hypervolume over `reference` grows (Emmerich 2006), objectives independent. (N, M) → (N,)

    The region that no point of the front dominates is cut into boxes; of a box [l, u] a candidate is expected to
    cover Π_m (E[(Y_m − l_m)⁺] − E[(Y_m − u_m)⁺]).
    """
    lower, upper = boxes(front, reference)
    worth = np.ones((len(mean), len(lower)))
    for m in range(mean.shape[1]):
        levels, place = np.unique(np.concatenate([lower[:, m], upper[:, m]]), return_inverse=True)
        above = np.zeros((len(mean), len(levels)))
        finite = np.isfinite(levels)
        above[:, finite] = exceeding(mean[:, m, None], deviation[:, m, None], levels[finite])
        worth *= above[:, place[: len(lower)]] - above[:, place[len(lower) :]]
    return worth.sum(1)


def boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Disjoint boxes, (B, M) lower and upper corners, that make up what lies above `reference` and below no point.

    Slice by slice of the last objective: in a slice only the points that reach above it dominate anything.
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
    """At most `count` rows of a front: the best of each objective, and those farthest from all that are chosen."""
    if len(front) <= count:
        return front
    scaled = (front - front.min(0)) / np.maximum(np.ptp(front, 0), 1e-12)
    chosen = list(dict.fromkeys(front.argmax(0).tolist()))
    distance = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in chosen], 0)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
    return front[chosen]
