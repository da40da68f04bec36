"""What is expected of the rows of a leaderboard, given all results, and which are not separated from the best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nas.space import Goals
from nas.surrogate.expected import expected
from nas.surrogate.features import recorded_point

COLUMNS = ("expected", "half_width", "behind", "behind_half_width")  # see nas.analysis.ranking.leaderboard


def with_beliefs(
    rows: pd.DataFrame, results: pd.Series[float], topologies: pd.Series[Any], whose: pd.Series[str], goals: Goals
) -> pd.DataFrame:
    """Return the rows of a leaderboard, one for each topology, with COLUMNS and `tied`.

    results     the metric of every trial
    topologies  Topology.to_dict() of every trial
    whose       what is equal for trials of one topology
    """
    own = rows[rows[goals.metric].notna()]
    if own.empty:
        return rows
    sign = 1.0 if goals.target.direction == "maximize" else -1.0
    of_one = {str(key): sign * np.asarray(values.dropna(), float) for key, values in results.groupby(whose)}
    keys = [str(whose[place]) for place in own.index]
    points = [recorded_point(key, topologies[place]) for key, place in zip(keys, own.index, strict=True)]
    beliefs = expected(points, [of_one[key] for key in keys])
    feasible = own["feasible"].to_numpy("bool")
    best = int(np.where(feasible | (not feasible.any()), beliefs.mean, -np.inf).argmax())
    behind, width = np.array([beliefs.difference(best, place) for place in range(len(own))]).T
    tied = (behind <= width) & feasible & (np.arange(len(own)) != best)
    unknown = np.full(len(own), np.nan)
    noisy = beliefs.noise > 0
    known = {
        "expected": sign * beliefs.mean,
        "half_width": beliefs.half_width if noisy else unknown,
        "behind": behind,
        "behind_half_width": width if noisy else unknown,
    }
    columns = {name: pd.Series(values, own.index).reindex(rows.index) for name, values in known.items()}
    return rows.assign(**columns, tied=rows.index.isin(own.index[tied]) & noisy)
