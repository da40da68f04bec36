"""What could have been known before: rank correlations against scipy's, and their intervals against chance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from nas.analysis import proxy_correlations, proxy_worth_line
from nas.analysis.proxy_worth import FEWEST
from tests.helpers import analysis_trials as trials


def made(values: list[float | None], metric: list[float], **changes: object) -> pd.DataFrame:
    rows = [
        trials.trial(number, trials.WINNER, accuracy=accuracy, proxies={"naswot": value}, **changes)
        for number, (value, accuracy) in enumerate(zip(values, metric, strict=True))
    ]
    return pd.DataFrame(rows)


def test_the_correlation_is_spearmans() -> None:
    frame = trials.frame(60)
    done = frame[frame["state"] == "COMPLETE"]
    table = proxy_correlations(frame, trials.GOALS).set_index("proxy")
    assert set(table.index) == {"params", "flops", "log_paths", "short_paths"}
    expected = spearmanr(done["params"], done["accuracy"]).statistic
    assert table.loc["params", "correlation"] == pytest.approx(expected)
    assert (table["candidates"] == len(done)).all()
    assert table["correlation"].abs().is_monotonic_decreasing


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        values, metric = rng.normal(size=(2, 20))
        (row,) = proxy_correlations(made(list(values), list(metric)), trials.GOALS).to_dict("records")
        hits += row["low"] <= 0 <= row["high"]
    assert 88 <= hits <= 100


def test_what_was_recorded_counts_where_it_is_known() -> None:
    values: list[float | None] = [*map(float, range(FEWEST)), None]
    frame = made(values, [number / 10 for number in range(FEWEST + 1)])
    (row,) = proxy_correlations(frame, trials.GOALS).to_dict("records")  # all else is the same for every candidate
    assert (row["proxy"], row["candidates"]) == ("naswot", FEWEST)
    assert row["correlation"] == pytest.approx(1)
    assert 0.99 < row["low"] <= row["high"] <= 1
    losses = trials.goals("accuracy", direction="minimize")
    assert proxy_correlations(frame, losses)["correlation"].tolist() == [pytest.approx(-1)]


def test_too_few_say_nothing() -> None:
    frame = made([1.0, 2.0], [0.1, 0.2])
    assert proxy_correlations(frame, trials.GOALS).empty
    assert proxy_correlations(trials.frame(0).head(0), trials.GOALS).empty


def test_the_line_dims_what_was_of_no_use() -> None:
    table = pd.DataFrame(
        [["naswot", 9, 0.5, 0.2, 0.7], ["params", 9, -0.1, -0.3, 0.1]],
        columns=["proxy", "candidates", "correlation", "low", "high"],
    )
    line = proxy_worth_line(table, trials.GOALS)
    assert line.plain == (
        "predicted accuracy (rank correlation, 95 %): naswot +0.50 [+0.20, +0.70] · params -0.10 [-0.30, +0.10]"
    )
    dim = [line.plain[span.start : span.end] for span in line.spans if span.style == "dim"]
    assert " params -0.10 [-0.30, +0.10]" in dim
    assert not any("naswot" in words for words in dim)
    assert math.isfinite(len(line))
