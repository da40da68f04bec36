"""The worth of proxies: the rank correlation of each with the metric after training."""

from __future__ import annotations

import math

import pandas as pd
from rich.text import Text

from nas.errors import TopologyError
from nas.space import Goals
from nas.topology import Topology
from nas.topology.paths import describe

MOST = 2000  # candidates, evenly spaced: more would not change the second digit
FEWEST = 8  # candidates; below, an interval says nothing
Z = 1.96  # 95 %


def proxy_correlations(frame: pd.DataFrame, goals: Goals) -> pd.DataFrame:
    """Return the rank correlation of every proxy over the finished candidates in `frame`, the strongest first.

    Columns: proxy, candidates (n), correlation, low, high. The correlation is Spearman's ρ with the task's metric,
    positive where more of the proxy went with a better metric; low … high is its 95 % interval,
    tanh(artanh ρ ± 1.96 √((1 + ρ²/2) / (n − 3))). An interval that holds 0 shows no use so far.
    Proxies are params and flops, log_paths and short_paths (see nas.topology.paths), and those that the search
    recorded.
    """
    done = frame[(frame["state"] == "COMPLETE") & frame[goals.metric].notna()]
    done = done.iloc[:: 1 + len(done) // MOST]
    sign = 1 if goals.target.direction == "maximize" else -1
    metric = sign * pd.to_numeric(done[goals.metric])
    rows = [_row(str(name), column, metric) for name, column in _proxies(done).items()]
    found = pd.DataFrame(rows, columns=["proxy", "candidates", "correlation", "low", "high"])
    known = found.dropna(subset="correlation")
    return known.sort_values("correlation", key=abs, ascending=False, ignore_index=True)


def proxy_worth_line(table: pd.DataFrame, goals: Goals) -> Text:
    """Return the table as a line for a terminal; a proxy whose interval holds 0 is dim."""
    text = Text(f"predicted {goals.metric} (rank correlation, 95 %):", "dim")
    for number, row in enumerate(table.to_dict("records")):
        useless = row["low"] <= 0 <= row["high"]
        told = f" {row['proxy']} {row['correlation']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        text.append(" ·" if number else "", "dim").append(told, "dim" if useless else "")
    return text


def _proxies(done: pd.DataFrame) -> pd.DataFrame:
    """Return a column for each proxy and a row for each candidate."""
    rows = [
        {"params": row["params"], "flops": row["flops"]}
        | _free(row["topology"])
        | (row["proxies"] if isinstance(row["proxies"], dict) else {})
        for row in done[["params", "flops", "topology", "proxies"]].to_dict("records")
    ]
    columns: pd.DataFrame = pd.DataFrame(rows, index=done.index).apply(pd.to_numeric, errors="coerce")
    return columns


def _free(data: object) -> dict[str, float]:
    try:
        paths = describe(Topology.from_dict(data))
    except TopologyError:
        return {}
    return {"log_paths": paths["log_paths"], "short_paths": -paths["mean_path"]}


def rank_correlation(left: pd.Series[float], right: pd.Series[float]) -> tuple[float, float, float]:
    """Return Spearman's ρ and its 95 % interval (Bonett & Wright 2000); NaN where a column is constant."""
    ranks, others = left.rank(), right.rank()
    if ranks.nunique() < 2 or others.nunique() < 2:
        return math.nan, math.nan, math.nan
    rho = float(ranks.corr(others))
    middle = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    width = Z * math.sqrt((1 + rho**2 / 2) / (len(left) - 3)) if len(left) > 3 else math.inf
    return rho, math.tanh(middle - width), math.tanh(middle + width)


def _row(name: str, column: pd.Series[float], metric: pd.Series[float]) -> tuple[str, int, float, float, float]:
    known = column.notna()
    n = int(known.sum())
    found = rank_correlation(column[known], metric[known]) if n >= FEWEST else (math.nan, math.nan, math.nan)
    return name, n, *found
