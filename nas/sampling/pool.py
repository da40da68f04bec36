"""The pool: the points of a domain from which the next proposal is chosen."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.sampling.domain import Domain
from nas.surrogate.columns import Columns
from nas.surrogate.points import Point
from nas.surrogate.process import FloatArray

POOL = 1000  # the most points of a pool that are kept for the next proposal, if the domain is not enumerated
PARENTS = 20  # the best observations, and as many of the best points of the pool, are mutated
DISTANT = 50  # random points of the pool, of which the farthest from all trials is proposed before the first model


class Pool:
    """The points from which a proposal is chosen, each with its last acquisition value.

    They are all points of the domain if these are few, otherwise random points and mutants of good ones. The value is
    +∞ for a point whose acquisition was not computed yet, and −∞ for one that was tried.

    domain   the domain of the points
    columns  the feature matrix of all points of the pool and of all trials
    """

    def __init__(self, domain: Domain, rng: random.Random) -> None:
        self.domain, self._rng = domain, rng
        self._draw = np.random.default_rng(rng.getrandbits(64))
        self.columns = Columns()
        self._points: list[Point] = []
        self._values, self._x = np.empty(0), np.empty((0, 0))
        everything = list(domain.everything())
        self._enumerated = bool(everything)
        self._hold(np.empty(0, dtype=np.intp), everything)

    def __bool__(self) -> bool:
        """Return whether there is a point that was not tried."""
        return bool((self._values > -np.inf).any())

    def rows(self, chosen: NDArray[np.intp]) -> FloatArray:
        """Return the feature rows of the points at these places of the pool, (n, F)."""
        return self._x[chosen]

    def refill(self, parents: Sequence[Point], tried: Mapping[Hashable, Point]) -> None:
        """Exclude the points that were tried; add random points and mutants, unless the domain is enumerated.

        parents  the points of the best observations
        tried    key → point of every trial, finished or running

        A third of the new points are mutants of `parents`, a third are mutants of the best points of the pool, and a
        third are random.
        """
        self.columns.learn(tried.values())
        self._values[[self._places[key] for key in tried if key in self._places]] = -np.inf
        if self._enumerated:
            if self._x.shape[1] < len(self.columns.group):  # the trials have features that no point of the pool has
                self._x = self.columns.rows(self._points)
            return
        best = np.argsort(-self._values, kind="stable")[:POOL]
        kept = best[self._values[best] > -np.inf]
        elite = [self._points[i] for i in kept[:PARENTS] if self._values[i] < np.inf]
        held = {self._points[i].key for i in kept}
        fresh: dict[Hashable, Point] = {}
        for turn in range(self.domain.fresh):
            group = (parents, elite, ())[turn % 3]
            point = self.domain.mutant(self._rng.choice(group).params if group else {}, self._rng)
            if point.key not in tried and point.key not in held:
                fresh[point.key] = point
        self.columns.forget(point for point in self._points if point.key not in held and point.key not in tried)
        self._hold(kept, list(fresh.values()))

    def some(self, count: int) -> NDArray[np.intp]:
        """Return the places of at most `count` points that were not tried.

        Half of them have the best last values, the others are random.
        """
        left = np.flatnonzero(self._values > -np.inf)
        if len(left) <= count:
            return left
        left = left[np.argsort(-self._values[left], kind="stable")]
        others = count // 2 + self._draw.choice(len(left) - count // 2, count - count // 2, replace=False)
        return np.concatenate([left[: count // 2], left[others]])

    def __getitem__(self, place: int) -> Point:
        """Return the point at a place of the pool."""
        return self._points[place]

    def keep(self, chosen: NDArray[np.intp], value: FloatArray) -> None:
        """Store the acquisition values of the points at the places `chosen`."""
        self._values[chosen] = value

    def farthest(self, points: Sequence[Point]) -> Point:
        """Return, of DISTANT random points of the pool, the one that is the farthest from its nearest of `points`."""
        left = np.flatnonzero(self._values > -np.inf).tolist()
        drawn = np.array(self._rng.sample(left, min(DISTANT, len(left))))
        if not points:
            return self._points[int(drawn[0])]
        known = self.columns.rows(points)
        apart = ((self._x[drawn][:, None] - known) ** 2).sum(2).min(1)
        return self._points[int(drawn[apart.argmax()])]

    def _hold(self, kept: NDArray[np.intp], fresh: Sequence[Point]) -> None:
        """Keep the points at the places `kept`, remove all others and add fresh ones."""
        self.columns.learn(fresh)
        unchanged = self._x.shape[1] == len(self.columns.group)
        self._points = [self._points[i] for i in kept]
        rows = self._x[kept] if unchanged else self.columns.rows(self._points)
        self._x = np.concatenate([rows, self.columns.rows(fresh)])
        self._points += fresh
        self._values = np.concatenate([self._values[kept], np.full(len(fresh), np.inf)])
        self._places = {point.key: place for place, point in enumerate(self._points)}
