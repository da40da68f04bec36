"""Acquisition functions: how much an evaluation is expected to improve the best results. Objectives are maximised."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.special import ndtr

from nas.surrogate.process import FloatArray


def exceeding(mean: FloatArray, deviation: FloatArray, level: FloatArray | float) -> FloatArray:
    """Return E[max(0, Y − level)] for Y ~ N(mean, deviation²). The arguments are broadcast."""
    u = (mean - level) / deviation
    return np.asarray(deviation * (u * ndtr(u) + np.exp(-u * u / 2) / math.sqrt(2 * math.pi)))


def expected_improvement(mean: FloatArray, deviation: FloatArray, best: float) -> FloatArray:
    """Return the expected improvement E[max(0, Y − best)] of N points (Mockus et al. 1978), (N,).

    mean, deviation  posterior mean and standard deviation of the objective Y at each point, (N,)
    best             the value of the incumbent
    """
    return exceeding(mean, deviation, best)


def expected_hypervolume_improvement(
    mean: FloatArray, deviation: FloatArray, front: FloatArray, reference: FloatArray
) -> FloatArray:
    """Return the expected growth of the hypervolume that the front dominates (Emmerich et al. 2006), (N,).

    The objectives Y_m are independent. The region that no point of the front dominates is divided into disjoint boxes
    [l, u]; the expected volume of the part of a box that Y dominates is Π_m (E[(Y_m − l_m)⁺] − E[(Y_m − u_m)⁺]).

    mean, deviation  posterior mean and standard deviation of the M objectives at each of N points, (N, M)
    front            points that do not dominate each other, (n, M)
    reference        the lower corner of the hypervolume, (M,)
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


def boxes(front: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return disjoint boxes that fill the region above `reference` (M,) that no point of the front (n, M) dominates.

    The lower and the upper corners of the boxes are (B, M). The region is sliced along the last objective at the values
    of the front. In each slice only the points that are above it in this objective dominate anything, so that the slice
    is divided by the same rule with one objective less.
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


def spread_out(front: FloatArray, count: int) -> FloatArray:
    """Return at most `count` rows of a front (n, M): the best of each objective, then farthest-first.

    The next row is always the one whose distance to the nearest chosen row is the largest, with every objective scaled
    to the range of the front.
    """
    if len(front) <= count:
        return front
    scaled = (front - front.min(0)) / np.maximum(np.ptp(front, 0), 1e-12)
    chosen = list(dict.fromkeys(front.argmax(0).tolist()))
    distance = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in chosen], 0)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
    return front[chosen]
