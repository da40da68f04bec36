"""Points as rows of numbers: the feature matrix of the surrogate models."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.sampling.points import Array, Point

MISMATCH = 1 / math.sqrt(2)  # in the column of a word: two words are at distance 1


class Columns:
    """The feature matrix of the surrogate models: points as rows, and the columns of each feature as a group.

    A word has one column, which is MISMATCH where a point has it, so that two different words of a group are at
    distance 1; a number has one column; and every group has a column for its absence. New columns are added on the
    right.
    """

    def __init__(self) -> None:
        self._group: list[int] = []  # of every column
        self._groups: dict[str, int] = {}
        self._absent: list[int] = []  # of every group: the column that says so
        self._column: dict[tuple[str, str], int] = {}
        self._rows: dict[Hashable, Array] = {}

    @property
    def group(self) -> NDArray[np.intp]:
        """The group of every column, (F,)."""
        return np.array(self._group, dtype=np.intp)

    def learn(self, points: Iterable[Point]) -> None:
        """Add the columns that the features of these points need; only points that were learned have rows."""
        for point in points:
            if point.key not in self._rows:
                self._make_columns(point)
                self._rows[point.key] = np.empty(0)

    def rows(self, points: Sequence[Point]) -> Array:
        """Return the rows of the points, (n, F)."""
        rows = np.empty((len(points), len(self._group)))
        for place, point in enumerate(points):
            row = self._rows[point.key]
            if len(row) < len(self._group):
                row = self._rows[point.key] = self._row(point)
            rows[place] = row
        return rows

    def _row(self, point: Point) -> Array:
        row = np.zeros(len(self._group))
        row[self._absent] = MISMATCH
        for name, value in point.features.items():
            row[self._absent[self._groups[name]]] = 0
            if isinstance(value, str):
                row[self._column[name, value]] = MISMATCH
            else:
                row[self._column[name, ""]] = value - 0.5
        return row

    def _make_columns(self, point: Point) -> None:
        """Add the columns of all features of a point."""
        for name, value in point.features.items():
            if name not in self._groups:
                self._groups[name] = len(self._groups)
                self._absent.append(self._new(name))
            key = name, value if isinstance(value, str) else ""
            if key not in self._column:
                self._column[key] = self._new(name)

    def _new(self, name: str) -> int:
        self._group.append(self._groups[name])
        return len(self._group) - 1
