"""Replicates: several values of one point, whose differences tell the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas.surrogate.process import FloatArray

FEW = 1  # degrees of freedom at which the pooled variance and PRIOR count alike
PRIOR = 0.02  # variance of the noise before replicates, as a share of that of the means


@dataclass(frozen=True)
class Pooled:
    """The values of n points.

    mean     of each point, (n,)
    count    of its values, (n,)
    noise    the variance of one value about the mean of its point, which is the same for all points; 0 if no point has
             two different values
    degrees  the degrees of freedom of `noise`: the values beyond the first of each point
    squares  the sum of the squared differences of all values from the means of their points
    """

    mean: FloatArray
    count: NDArray[np.intp]
    noise: float
    degrees: int
    squares: float


def pool(values: Sequence[FloatArray]) -> Pooled:
    """Return the means of the values of each point, and their noise, pooled over all points.

    Few degrees of freedom say little, so that the estimate is drawn towards a share PRIOR of the variance of the means.
    """
    mean, count = np.array([each.mean() for each in values]), np.array([len(each) for each in values])
    squares = float(sum(((each - each.mean()) ** 2).sum() for each in values if len(each) > 1))
    degrees = int(count.sum() - len(count))
    noise = (squares + FEW * PRIOR * float(np.nanvar(mean))) / (degrees + FEW) if squares > 0 else 0.0
    return Pooled(mean, count, noise, degrees, squares)
