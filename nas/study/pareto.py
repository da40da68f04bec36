"""Non-domination: which points nothing beats in every objective at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.errors import expected

SIGNS = {"maximize": -1.0, "minimize": 1.0}


def pareto_rank(values: ArrayLike, directions: Sequence[str], fronts: int | None = None) -> NDArray[np.int64]:
    """The front of every point: 1 where nothing dominates it, k where only fronts before k do, 0 unknown.

    Of the first so many `fronts`, where that is enough: what lies behind them has rank fronts + 1.

    a dominates b where it is as good in every objective and better in one; equal points share a front. `values`
    is (n, m), `directions` m times "minimize" or "maximize". A point with a NaN makes no claim and has rank 0.
    Non-dominated sorting of Deb et al. 2002, peeled front by front from a lexicographic order.
    Raises ValueError where values and directions do not fit.
    """
    points = np.asarray(values, dtype=np.float64)
    points = points.reshape(0, len(directions)) if points.size == 0 else points
    if points.ndim != 2 or points.shape[1] != len(directions):
        raise ValueError(f"values.shape == (n, {len(directions)}) must hold, but got {points.shape}")
    if not set(directions) <= set(SIGNS):
        raise ValueError(expected("a direction", next(d for d in directions if d not in SIGNS), SIGNS))
    signs = np.array([SIGNS[direction] for direction in directions])
    known = ~np.isnan(points).any(axis=1)
    ranks = np.zeros(len(points), dtype=np.int64)
    distinct, back = np.unique(points[known] * signs, axis=0, return_inverse=True)
    ranks[known] = _ranks_of_distinct(distinct, len(distinct) if fronts is None else fronts)[back.reshape(-1)]
    return ranks


def _ranks_of_distinct(points: NDArray[np.float64], fronts: int) -> NDArray[np.int64]:
    """The fronts of distinct points to be minimised, in lexicographic order: none is dominated by a later one."""
    ranks = np.full(len(points), fronts + 1, dtype=np.int64)
    left, front = np.arange(len(points)), 0
    while len(left) and front < fronts:
        front += 1
        dominated = np.empty(0, dtype=np.int64)
        while len(left):
            first, rest = left[0], left[1:]
            ranks[first] = front
            beaten = (points[rest] >= points[first]).all(axis=1)
            dominated = np.concatenate([dominated, rest[beaten]])
            left = rest[~beaten]
        left = np.sort(dominated)
    return ranks


def pareto_front(x: ArrayLike, y: ArrayLike, directions: Sequence[str]) -> NDArray[np.int64]:
    """Indices of the points on the front of two objectives, in the order of x: the staircase of a plot."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    members = np.flatnonzero(pareto_rank(np.column_stack([first, second]), directions) == 1)
    return members[np.lexsort((second[members], first[members]))]
