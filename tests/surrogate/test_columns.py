"""The feature matrix: distances of rows are those of the points."""

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution

from nas.sampling.parameters import Parameters
from nas.surrogate.columns import Columns


def test_squared_distances_of_rows_by_group() -> None:
    """Two categories are at distance 1, and so is absence from any; numbers differ by their share of the range."""
    columns = Columns()
    distributions = {"op": CategoricalDistribution(["conv", "pool"]), "lr": FloatDistribution(1e-4, 1e-1, log=True)}
    few = Parameters(distributions, {"lr": ("op", frozenset({"pool"}))})
    params = [{"op": "conv", "lr": 1e-4}, {"op": "conv", "lr": 1e-1}, {"op": "pool"}, {"op": "conv", "lr": 1e-4}]
    points = [few._point(each) for each in params]
    columns.learn(points)
    first, *others = columns.rows(points)
    group = columns.group
    apart = [[((first - other)[group == g] ** 2).sum() for g in (0, 1)] for other in others]
    np.testing.assert_allclose(apart[0], [0, 1])
    np.testing.assert_allclose(apart[1][0], 1)
    assert apart[1][1] > 0
    np.testing.assert_allclose(apart[2], 0)
