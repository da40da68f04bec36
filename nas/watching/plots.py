"""The plots of a run in the Optuna dashboard: those of the report, small, in colours of their own."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nas.analysis.course import busy, progress
from nas.analysis.effects import Effects
from nas.analysis.figures import Figure, against, curves
from nas.analysis.heat_maps import block_bars, effect_map, skip_map
from nas.space import Goals

# the report's colours by name, as they are read on white and on black
COLOURS = {
    "ink": "#7d8590",
    "muted": "#7d8590",
    "accent": "#2f81f7",
    "warm": "#d4722a",
    "line": "rgba(128, 128, 128, 0.25)",
    "paper": "#f6f8fa",
}
POINTS = 200  # candidates in a plot, the best ones, besides the front and the baselines
CURVES = 100  # candidates whose curves are drawn, the last ones, besides the best and the baselines


def plots(frame: pd.DataFrame, board: pd.DataFrame, goals: Goals, effects: Effects | None = None) -> dict[str, Figure]:
    """Return name → figure, for plotly; figures without data are left out.

    board    the leaderboard of `frame`: POINTS candidates, the front and the baselines
    effects  what the decisions are worth; None where it is not known yet
    """
    costs = [name for name, row in goals.columns.items() if row.in_every_report or name in goals.names]
    drawn = {f"{goals.metric}-against-{cost}": against(board, goals, cost) for cost in costs if cost != goals.metric}
    recent = frame[
        (frame["trial"] >= len(frame) - CURVES) | frame["trial"].isin(board.loc[board["name"] != "", "trial"])
    ]
    best = frame[frame["trial"].isin(board["trial"].head(1))]
    drawn["curves"] = curves(pd.concat([recent, best]).drop_duplicates("trial"), board, goals)
    drawn |= {"best-so-far": progress(frame, board, goals), "slots-busy": busy(frame)}
    drawn["skips-by-block"] = skip_map(frame, board, goals)
    if effects is not None:
        drawn |= {"effects-by-block": effect_map(effects, goals), "importance-by-block": block_bars(effects)}
    return {name: _for_dashboard(name, figure) for name, figure in drawn.items() if figure["data"]}


def _for_dashboard(name: str, figure: Figure) -> Figure:
    """Return a figure with its name as the title, colours instead of their names, and numbers in few digits."""
    layout = figure["layout"] | {
        "title": {"text": name.replace("-", " "), "x": 0.02, "font": {"size": 16, "color": "ink"}},
        "margin": {"l": 8, "r": 28, "t": 48, "b": 8},
        "legend": {"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},  # above, the buttons of the dashboard are
    }
    return {"data": _plain(figure["data"]), "layout": _plain(layout) | {"template": {}}}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: COLOURS.get(item, item) if _is_colour(name, item) else _plain(item) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _is_colour(name: str, item: object) -> bool:
    return isinstance(item, str) and "color" in name
