"""The plots of how a search went: the best so far, the hypervolume, and how many were trained at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from nas.analysis.course import busy, progress
from nas.analysis.ranking import leaderboard
from nas.study.pareto import hypervolume
from tests.helpers.analysis_trials import GOALS, frame, goals


def test_the_best_so_far_and_the_share_of_the_hypervolume() -> None:
    trials = frame()
    figure = progress(trials, leaderboard(trials, goals=GOALS), GOALS)
    best, volume = figure["data"]
    done = trials[trials["state"] == "COMPLETE"]["accuracy"].astype(float)
    running = done.cummax().tolist()
    assert (best["x"][-1], best["y"][-1]) == (len(done), max(done))
    assert all(running[x - 1] == y for x, y in zip(best["x"], best["y"], strict=True))
    assert best["y"] == sorted(best["y"])
    assert volume["y"] == sorted(volume["y"])
    assert volume["y"][-1] == pytest.approx(1)
    kept = pd.DataFrame({"a": -done, "p": trials["params"], "m": trials["memory"]}).dropna().to_numpy(float)
    scaled = (kept - kept.min(0)) / np.ptp(kept, axis=0)
    first = volume["x"][3]
    expected = hypervolume(scaled[:first], np.ones(3)) / hypervolume(scaled, np.ones(3))
    assert volume["y"][3] == pytest.approx(expected)
    alone = goals("accuracy")
    assert len(progress(trials, leaderboard(trials, goals=alone), alone)["data"]) == 1


def test_how_many_are_trained_at_a_time() -> None:
    start = pd.Timestamp("2026-01-05 09:00:00")
    spans = [(0, 100), (0, 50), (50, 100), (0, 25)]
    rows = [{"started": start + pd.Timedelta(seconds=a), "ended": start + pd.Timedelta(seconds=b)} for a, b in spans]
    (trace,) = busy(pd.DataFrame([*rows, {"started": start, "ended": None}]))["data"]
    at = dict(zip(trace["x"], trace["y"], strict=True))
    assert (at[0], at[24], at[30], at[75]) == (3, 3, 2, 2)
    assert np.mean(trace["y"]) == pytest.approx(sum(b - a for a, b in spans) / 100)


def test_figures_are_valid_plotly_and_empty_without_trials() -> None:
    trials = frame()
    for figure in (progress(trials, leaderboard(trials, goals=GOALS), GOALS), busy(trials)):
        go.Figure({"data": [{**trace, "line": {}} for trace in figure["data"]], "layout": {}})
    empty = trials.iloc[:0]
    assert progress(empty, leaderboard(empty, goals=GOALS), GOALS)["data"] == []
    assert busy(empty)["data"] == []
