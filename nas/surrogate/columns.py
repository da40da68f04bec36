"""Points as rows of numbers: the feature matrix of the surrogate models."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.surrogate.points import Point

if TYPE_CHECKING:
    from nas.surrogate.process import FloatArray

MISMATCH = 1 / math.sqrt(2)  # the value in the column of a category, so that ‖x − x'‖² = 1 for two categories


class Columns:
    """The feature matrix of the surrogate models: a row for each point, and a group of columns for each feature.

    The group of a feature has a column for its absence, a column for each of its categories, and one for its numbers.
    The column of a category, or of the absence, is MISMATCH in the rows of the points that have it and 0 in all
    others, so that ‖x_g − x'_g‖² is 1 for two points of different categories and 0 for equal ones. The column of a
    number is the number − 0.5. Columns of new features and categories are added on the right.
    """

    def __init__(self) -> None:
        self._group: list[int] = []  # column → number of its group
        self._groups: dict[str, int] = {}  # feature → number of its group
        self._absent: list[int] = []  # number of a group → its column for the absence of the feature
        self._column: dict[tuple[str, str], int] = {}  # (feature, category) → column; the category "" for numbers
        self._rows: dict[Hashable, FloatArray] = {}  # key of a point → its row, without columns that are newer

    @property
    def group(self) -> NDArray[np.intp]:
        """The number of the group of every column, (F,)."""
        return np.array(self._group, dtype=np.intp)

    def learn(self, points: Iterable[Point]) -> None:
        """Add the columns that the features of these points need. `rows` takes only points that were learned."""
        for point in points:
            if point.key not in self._rows:
                self._make_columns(point)
                self._rows[point.key] = np.empty(0)

    def forget(self, points: Iterable[Point]) -> None:
        """Drop the rows of points that will not be asked for; their columns stay."""
        for point in points:
            self._rows.pop(point.key, None)

    def rows(self, points: Sequence[Point]) -> FloatArray:
        """Return the rows of the points, (n, F). Raises KeyError for a point that was not learned."""
        rows = np.empty((len(points), len(self._group)))
        for place, point in enumerate(points):
            row = self._rows[point.key]
            if len(row) < len(self._group):
                row = self._rows[point.key] = self._row(point)
            rows[place] = row
        return rows

    def _row(self, point: Point) -> FloatArray:
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
