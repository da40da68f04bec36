"""Means of several trainings with intervals, and paired differences with p values.

Intervals are those of Student's t at LEVEL; p values of several differences are corrected by Holm's method (1979).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nas.space.quantities import Unit
from nas.units import MISSING, Show

LEVEL = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """The mean of n results, with their standard deviation and its interval; NaN where n is too small."""

    n: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2

    @property
    def standard_error(self) -> float:
        """The standard error of the mean."""
        return self.sd / math.sqrt(self.n) if self.n > 1 else math.nan


@dataclass(frozen=True)
class Difference:
    """The lead of one network over another, seed by seed.

    p       that of the paired t test
    p_holm  the same, corrected for the number of networks that are compared
    """

    figure: Figure
    p: float
    p_holm: float = math.nan

    @property
    def separated(self) -> bool:
        """Whether the difference is beyond noise, given how many were compared."""
        return self.p_holm < 1 - LEVEL

    @property
    def tied(self) -> bool:
        """Whether the difference is known, and not beyond noise."""
        return self.p_holm >= 1 - LEVEL


def figure_of(values: Floats) -> Figure:
    """Return the mean of the values that are numbers, with its interval of Student's t."""
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return Figure(0, math.nan, math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if n == 1:
        return Figure(1, mean, math.nan, math.nan, math.nan)
    sd = float(values.std(ddof=1))
    if np.ptp(values) == 0:
        return Figure(n, mean, 0.0, mean, mean)
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(LEVEL)
    return Figure(n, mean, sd, float(interval.low), float(interval.high))


def differences(rows: Sequence[Floats]) -> list[Difference]:
    """Return each row of paired differences with its p value, corrected by Holm's method for how many there are."""
    from statsmodels.stats.multitest import multipletests  # late: a report without a confirmation does not need it

    found = [Difference(figure_of(row), _p_value(row)) for row in rows]
    tested = [place for place, one in enumerate(found) if not math.isnan(one.p)]
    if tested:
        corrected = multipletests([found[place].p for place in tested], method="holm")[1]
        for place, p in zip(tested, corrected, strict=True):
            found[place] = dataclasses.replace(found[place], p_holm=float(p))
    return found


def _p_value(row: Floats) -> float:
    """Return the p value of the hypothesis that the mean of paired differences is 0; NaN for fewer than two."""
    row = row[np.isfinite(row)]
    if len(row) < 2:
        return math.nan
    if np.ptp(row) == 0:
        return 1.0 if row[0] == 0 else 0.0  # the seed does not matter
    return float(stats.ttest_1samp(row, 0.0).pvalue)


def written(figure: Figure | None, unit: Unit, show: Show | None = None) -> str:
    """Return the mean ± half of its interval. `show` writes the mean; that of the unit unless given."""
    if figure is None or figure.n == 0:
        return MISSING
    return (show or unit.show)(figure.mean) + _half_width(figure, unit)


def written_difference(difference: Difference | None, unit: Unit) -> str:
    """Return the mean with its sign ± half of its interval."""
    if difference is None or difference.figure.n == 0:
        return MISSING
    return unit.signed(difference.figure.mean) + _half_width(difference.figure, unit)


def _half_width(figure: Figure, unit: Unit) -> str:
    return f" ± {unit.amount(figure.half_width)}" if figure.n > 1 else ""
