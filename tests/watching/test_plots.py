"""The plots of the dashboard: small, in definite colours, and drawn by plotly."""

from __future__ import annotations

import html
import json

import pandas as pd
import plotly.graph_objects as go
import pytest

from nas.analysis import leaderboard
from nas.analysis.effects import effects
from nas.space import SearchSpace
from nas.watching.plots import COLOURS, POINTS, plots
from tests.helpers.analysis_trials import GOALS
from tests.helpers.analysis_trials import frame as search


@pytest.mark.parametrize("trials", [0, 1, 40, 3000])
def test_plots_are_small_and_valid(trials: int) -> None:
    frame = search(trials) if trials else search(1).iloc[:0]
    drawn = plots(frame, leaderboard(frame, goals=GOALS, top=POINTS, front=True), GOALS)
    assert bool(drawn) == bool(trials)
    for figure in drawn.values():
        go.Figure(figure)
        text = json.dumps(figure)
        assert len(text) < 150_000
        assert not any(f'"color": "{name}"' in text for name in COLOURS)


def test_the_front_and_the_baselines_are_in_the_plot_of_a_cost() -> None:
    frame = search(40)
    data = plots(frame, leaderboard(frame, goals=GOALS, front=True), GOALS)["accuracy-against-params"]["data"]
    assert {"candidates", "Pareto front", "baselines"} <= {trace["name"] for trace in data}


def test_effects_have_a_map_and_bars() -> None:
    space = SearchSpace.load("digits")
    frame = planted_frame(space)
    found = effects(frame, space, space.goals.target)
    drawn = plots(frame, leaderboard(frame, goals=space.goals, front=True), space.goals, found)
    trace = drawn["effects-by-block"]["data"][0]
    assert trace["zmid"] == 0 and "concat" in trace["y"] and 12 in trace["x"]
    assert {str(one).rstrip("0123456789") for one in drawn["importance-by-block"]["data"][0]["y"]} == {"block", "stage"}


def planted_frame(space: SearchSpace) -> pd.DataFrame:
    """Return sixty uniformly drawn topologies, of which those with many skips are better."""
    import random

    from tests.analysis.test_effects import frame_of
    from tests.surrogate.planted import Drawn

    trial = Drawn(random.Random(0))
    topologies = [space.sample(trial) for _ in range(60)]
    values = [sum(bool(block.skips) for block in one.blocks) / 20 for one in topologies]
    frame = frame_of(topologies, values, params=1000.0, memory=10.0, flops=1.0)
    return frame.reindex(columns=[*search(1).columns]).assign(started=pd.NaT, ended=pd.NaT)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "y" * 10_000])
def test_hostile_names_are_text(name: str) -> None:
    frame = search(20)
    frame.loc[frame["baseline"] == "resnet", "baseline"] = name
    frame["line"] = f"conv3x3 <b>{name}</b>"
    board = leaderboard(frame, goals=GOALS, front=True)
    text = json.dumps(plots(frame, board, GOALS))
    assert "<script" not in text and "<b>y" not in text
    assert html.escape(name)[:20] in text
