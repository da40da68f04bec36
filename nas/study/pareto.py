"""Pareto dominance: which points no other point beats in every objective at once. The only implementation in nas."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.errors import expected

SIGNS = {"maximize": -1.0, "minimize": 1.0}

Name = TypeVar("Name", bound=Hashable)
Losses = tuple[float, ...]  # the objectives of one point, each with the sign that makes smaller better


def dominates(left: Losses, right: Losses) -> bool:
    """Return whether `left` is no worse than `right` in every loss and better in at least one; smaller is better."""
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


class ParetoFront(Generic[Name]):
    """The non-dominated points among all that were added so far, one at a time.

    members  the losses of each point on the front, by the point's name
    """

    def __init__(self) -> None:
        self.members: dict[Name, Losses] = {}

    def add(self, name: Name, losses: Losses) -> bool:
        """Add a point and return whether it is on the front now.

        Points that it dominates leave the front; points with equal losses share it.
        """
        if not self.accepts(losses):
            return False
        self.members = {n: other for n, other in self.members.items() if not dominates(losses, other)}
        self.members[name] = losses
        return True

    def accepts(self, losses: Losses) -> bool:
        """Return whether a point with these losses would be on the front."""
        return not any(dominates(other, losses) for other in self.members.values())


def pareto_rank(values: ArrayLike, directions: Sequence[str], fronts: int | None = None) -> NDArray[np.int64]:
    """Return the number of each point's front: 1 if nothing dominates it, k if only points of earlier fronts do.

    values      (n, m); equal points share a front, and a point with a NaN has rank 0: it is compared with no other
    directions  m times "minimize" or "maximize"
    fronts      how many fronts to compute; all points behind them get rank fronts + 1

    Point a dominates b if a is as good in every objective and better in one. This is the non-dominated sorting of
    Deb et al. 2002, which removes one front after the other from the points in lexicographic order.
    Raises ValueError if values and directions do not fit.
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
    """Return the ranks of distinct points (n, m) to be minimised, in lexicographic order.

    In that order no point is dominated by a later one, so one pass finds a front.
    """
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


def distances_to_ideal(values: ArrayLike, directions: Sequence[str]) -> NDArray[np.float64]:
    """Return how far each point of a front is from the best value of every objective, as (n,).

    values  (n, m), each objective scaled to the range that it has among these points; one without a range does not
            count. The smallest distance is that of the knee of the front (compromise programming, Zeleny 1973).
    """
    losses = np.asarray(values, dtype=np.float64).reshape(-1, len(directions)) * [SIGNS[one] for one in directions]
    if not len(losses):
        return np.empty(0)
    low, span = losses.min(axis=0), np.ptp(losses, axis=0)
    return np.asarray(np.linalg.norm((losses - low) / np.where(span > 0, span, 1.0), axis=1))


def pareto_front(x: ArrayLike, y: ArrayLike, directions: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of the points on the front of two objectives, sorted by x: the staircase of a plot.

    x, y        (n,), the two objectives
    directions  "minimize" or "maximize" for x and for y
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    members = np.flatnonzero(pareto_rank(np.column_stack([first, second]), directions) == 1)
    return members[np.lexsort((second[members], first[members]))]


def hypervolume(losses: ArrayLike, reference: ArrayLike) -> float:
    """Return the volume that the points dominate up to the reference.

    losses     (n, m), smaller is better; a point that is not below the reference everywhere, or has a NaN, adds nothing
    reference  (m,)

    It is the sum over slices of the last loss (While et al. 2006), which suits a few objectives.
    """
    corner = np.asarray(reference, dtype=np.float64)
    points = np.asarray(losses, dtype=np.float64).reshape(-1, len(corner))
    points = points[(points < corner).all(1)]
    if not len(points):
        return 0.0
    if len(corner) == 1:
        return float(corner[0] - points.min())
    points = points[pareto_rank(points, ["minimize"] * len(corner), fronts=1) == 1]
    points = points[points[:, -1].argsort(kind="stable")]
    levels = np.append(points[:, -1], corner[-1])
    if len(corner) == 2:
        reached = np.minimum.accumulate(points[:, 0])
        return float(((corner[0] - reached) * np.diff(levels)).sum())
    return sum(
        hypervolume(points[: place + 1, :-1], corner[:-1]) * float(depth)
        for place, depth in enumerate(np.diff(levels))
        if depth > 0
    )
