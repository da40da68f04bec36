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
    sign = 1.0 if goals.target.direction == "maximize" else -1.0
    results = sign * results.where(np.isfinite(results))
    own = rows[results.groupby(whose).transform("count").reindex(rows.index) > 0]
    if own.empty:
        return rows
    of_one = _grouped(results.dropna(), whose)
    keys, records = [str(whose[place]) for place in own.index], topologies[own.index].tolist()
    beliefs = expected(lambda place: recorded_point(keys[place], records[place]), [of_one[key] for key in keys])
    feasible = own["feasible"].to_numpy("bool")
    best = int(np.where(feasible | (not feasible.any()), beliefs.mean, -np.inf).argmax())
    behind, width = beliefs.differences(best)
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


def _grouped(results: pd.Series[float], whose: pd.Series[str]) -> dict[str, np.ndarray]:
    """Return key → its results. Series.groupby takes a hundred times as long where every key has a group of its own."""
    codes, keys = pd.factorize(whose[results.index])
    order = np.argsort(codes, kind="stable")
    parts = np.split(results.to_numpy("float64")[order], np.cumsum(np.bincount(codes))[:-1])
    return dict(zip(map(str, keys), parts, strict=True))
