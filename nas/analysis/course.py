"""The plots of how a search went: what was found after every trial, and how many were trained at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nas.analysis.figures import Figure, axis_title, figure_of_traces, line, metric_ticks
from nas.space import Goals
from nas.study.pareto import hypervolume

CHECKPOINTS = 40  # of the hypervolume
BINS = 200  # of the time


def progress(frame: pd.DataFrame, board: pd.DataFrame, goals: Goals) -> Figure:
    """Return the plot of the best metric so far, and of the hypervolume, over the trials that were trained to the end.

    The hypervolume is that of what all objectives dominate together, up to the worst value of each, as a share of the
    final one; it is drawn where there are several objectives.
    """
    done = frame[(frame["state"] == "COMPLETE") & frame[goals.metric].notna()]
    values = pd.to_numeric(done[goals.metric]).to_numpy("float64")
    best = (np.maximum if goals.target.direction == "maximize" else np.minimum).accumulate(values)
    kept = sorted({*np.flatnonzero(np.diff(best, prepend=np.nan)).tolist(), *range(len(best))[-1:]})
    data = [_steps(line([place + 1 for place in kept], best[kept].tolist(), f"best {goals.metric} so far", "accent"))]
    losses = _losses(done, goals)
    several = losses.shape[1] > 1 and len(losses) > 1
    if several:
        shares = line(*_hypervolumes(losses), "hypervolume, share of the final one", "warm", dash="dot")
        data.append(shares | {"yaxis": "y2"})
    title = f"best {goals.metric} of a single training so far"
    y = {"title": axis_title(title), "tickformat": metric_ticks(board, goals)}
    figure = figure_of_traces(data, {"title": axis_title("trials trained to the end, repeats included")}, y)
    if several:
        share = {"overlaying": "y", "side": "right", "tickformat": "~%", "range": [0, 1.05], "showgrid": False}
        figure["layout"]["yaxis2"] = share
    return figure


def busy(frame: pd.DataFrame) -> Figure:
    """Return the plot of how many candidates were trained at a time, as means over intervals of the same length."""
    spans = pd.DataFrame({name: pd.to_datetime(frame[name]) for name in ("started", "ended")}).dropna()
    if spans.empty:
        return figure_of_traces([], {}, {})
    start = spans["started"].min()
    seconds = np.stack([(spans[name] - start).dt.total_seconds().to_numpy("float64") for name in spans])
    whole = float(seconds.max()) or 1.0
    edges = np.linspace(0, whole, BINS + 1)
    # the time that is spent on candidates up to an edge grows as each of them runs: its differences are means
    spent = np.clip(edges[:, None] - seconds[0], 0, seconds[1] - seconds[0]).sum(1)
    mean = np.diff(spent) / np.diff(edges)
    scale, unit = (3600, "hours") if whole > 2 * 3600 else (60, "minutes") if whole > 120 else (1, "seconds")
    x = (edges[:-1] / scale).round(4).tolist()
    data = [_steps(line(x, mean.round(3).tolist(), "candidates at a time", "accent", 1)) | {"fill": "tozeroy"}]
    across, up = {"title": axis_title(f"{unit} since the start")}, {"title": axis_title("candidates at a time")}
    return figure_of_traces(data, across, up | {"rangemode": "tozero"})


def _steps(trace: Figure) -> Figure:
    """Return a line as steps: a value holds until the next."""
    return trace | {"line": trace["line"] | {"shape": "hv"}}


def _losses(done: pd.DataFrame, goals: Goals) -> np.ndarray:
    """Return the objectives of the trials that have all of them, (n, m); smaller is better."""
    columns = [pd.to_numeric(done[name]).to_numpy("float64") for name in goals.names]
    table = np.stack(columns, axis=1) if columns else np.empty((len(done), 0))
    table = table[np.isfinite(table).all(1)]
    return table * [-1.0 if direction == "maximize" else 1.0 for direction in goals.directions]


def _hypervolumes(losses: np.ndarray) -> tuple[list[int], list[float]]:
    """Return numbers of trials, and the hypervolume after each as a share of the last."""
    low, high = losses.min(0), losses.max(0)
    scaled = (losses - low) / np.where(high > low, high - low, 1.0)
    counts = np.unique(np.linspace(1, len(scaled), min(CHECKPOINTS, len(scaled))).astype(int))
    volumes = [hypervolume(scaled[:count], np.ones(scaled.shape[1])) for count in counts]
    return counts.tolist(), [float(volume / (volumes[-1] or 1.0)) for volume in volumes]
