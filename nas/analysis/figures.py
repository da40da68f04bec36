"""The plots of the report as plotly figures: plain dicts of what plotly.js draws; colours come from the page.

A colour is the name of one of the page's own (`ink`, `accent` …): its script fills in the light or the dark one.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas import units
from nas.analysis.ranking import formats, unit_of
from nas.space import Goals
from nas.space.quantities import Unit
from nas.study.attributes import number_at
from nas.study.pareto import pareto_front

if TYPE_CHECKING:
    from nas.analysis.confirmed import Confirmed, ConfirmedNetwork
    from nas.analysis.paired import Figure as Interval

CURVES = 400  # candidates whose curves are drawn, evenly spaced over the search
EPOCHS = 60  # points of such a curve, evenly spaced over its epochs
DIGITS = 6  # of a value in a plot
LOG_FROM = 4  # the largest cost over the smallest from which on an axis is logarithmic

Figure = dict[str, Any]


def against(board: pd.DataFrame, goals: Goals, cost: str) -> Figure:
    """Return the plot of the metric over a cost: candidates, their Pareto front as a staircase, baselines by name.

    A candidate stands at what is expected of it, by which it is ranked (see `leaderboard`). One that violates a
    constraint is on no front. At first the axis of the metric shows the front and what is near it, so that a network at
    chance level does not compress all others into a line; a note names the baselines outside, and the rest appears when
    one zooms out.
    """
    done = board[(board["state"] == "COMPLETE") & board[goals.metric].notna() & board[cost].notna()]
    feasible, broken, named = done[done["feasible"]], done[~done["feasible"]], done[done["name"] != ""]
    objective = goals.columns[cost]
    directions = (objective.direction, goals.target.direction)
    shape = "hv" if objective.direction == "minimize" else "vh"
    front = feasible.iloc[pareto_front(feasible[cost].astype(float), feasible["expected"], directions)]
    grey = {"color": "muted", "size": 8, "opacity": 0.55}
    data = [
        _points(feasible[feasible["name"] == ""], board, goals, cost, "candidates", grey),
        _points(broken, board, goals, cost, "break a constraint", grey | {"symbol": "x-thin-open"}),
        _points(front, board, goals, cost, "Pareto front", {"color": "accent", "size": 10})
        | {"mode": "lines+markers", "line": {"color": "accent", "width": 2, "shape": shape}}
        | _error_bars(front, "accent"),
        _points(named, board, goals, cost, "baselines", {"color": "warm", "size": 12, "symbol": "diamond"})
        | {"mode": "markers+text", "text": [text_of(name) for name in named["name"]]}
        | {"textposition": _beside(named[cost].astype(float))}
        | {"textfont": {"color": "warm", "weight": 600}}
        | _error_bars(named, "warm"),
    ]
    x = {"title": axis_title(objective.title)} | _axis(done[cost].astype(float), objective.unit_format)
    title = f"expected {goals.metric}" if board["half_width"].notna().any() else goals.metric
    y = {"title": axis_title(title), "tickformat": metric_ticks(board, goals)}
    shown = _shown(done, front, goals)
    figure = figure_of_traces(data, x, y | ({"range": list(shown)} if shown else {}))
    far = named[~named["expected"].between(*shown)] if shown else named.iloc[:0]
    if len(far):
        show = unit_of(board, goals, goals.metric).show
        outside = [f"{row['name']} {show(row['expected'])}" for row in far.to_dict("records")]
        figure["layout"]["annotations"] = [_note(f"outside: {', '.join(outside)}")]
    return figure


def curves(frame: pd.DataFrame, board: pd.DataFrame, goals: Goals) -> Figure:
    """Return the plot of the metric over epochs: candidates in grey (one line with gaps), others in colour.

    Of the trainings of one baseline with several seeds, that of its row in `board` is in colour.
    """
    by_trial = dict(zip(frame["trial"], frame["curve"], strict=True))
    best = int(board["trial"].iloc[0]) if len(board) and board["state"].iloc[0] == "COMPLETE" else None
    names = dict(zip(board["trial"], board["name"], strict=True))
    named = {trial: names[trial] for trial in by_trial if names.get(trial)}
    x: list[float | None] = []
    y: list[float | None] = []
    others = [trial for trial in by_trial if trial != best and trial not in named]
    for trial in others[:: 1 + len(others) // CURVES]:
        epochs, values = _thinned(*_curve(by_trial[trial], goals.metric))
        x += [*epochs, None]
        y += [*values, None]
    data = [line(x, y, "candidates", "muted", 1) | {"opacity": 0.35, "hoverinfo": "skip"}]
    dashes = ("solid", "dash", "dot", "dashdot", "longdash")
    for number, (trial, name) in enumerate(named.items()):
        if trial != best:
            data.append(line(*_curve(by_trial[trial], goals.metric), name, "warm", 2, dashes[number % len(dashes)]))
    if best is not None:
        title = f"best: trial {best}" + (f" ({named[best]})" if best in named else "")
        data.append(line(*_curve(by_trial[best], goals.metric), title, "accent", 3))
    axis = {"title": axis_title(goals.metric), "tickformat": metric_ticks(board, goals)}
    last = max((epoch or 0 for trace in data for epoch in trace["x"]), default=1)
    across = {"title": axis_title("epoch"), "tick0": 1, "dtick": math.ceil(last / 12)}
    hover = {"hovertemplate": "epoch %{x}: %{y}<extra>%{fullData.name}</extra>"}
    return figure_of_traces([hover | trace for trace in data], across, axis)


def leads(found: Confirmed) -> Figure:
    """Return the plot of a confirmation: how far every network is ahead of the best baseline, with its interval.

    The axis is that of the candidates; a baseline that is far outside is named with its figure and not drawn.
    """
    rows = [one for one in found.networks if one.ahead is not None and one.ahead.figure.n]
    figures = {one.network.name: one.ahead.figure for one in rows if one.ahead is not None}
    scale, near = 100 if found.is_share else 1, _near(rows, figures)
    labels = {
        name: text_of(name if name in near else f"{name} ({scale * figure.mean:+.4g}, outside)")
        for name, figure in figures.items()
    }
    data = []
    for title, is_baseline, colour in (("candidates", False, "accent"), ("baselines", True, "warm")):
        names = [one.network.name for one in rows if one.network.baseline == is_baseline]
        widths = [figures[name].half_width if name in near and figures[name].n > 1 else 0.0 for name in names]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": title,
                "x": [scale * figures[name].mean if name in near else None for name in names],
                "y": [labels[name] for name in names],
                "error_x": {"type": "data", "array": [scale * width for width in widths], "color": colour, "width": 4},
                "marker": {"color": colour, "size": 9},
            }
        )
    title = f"ahead of the best baseline, {'points' if found.is_share else found.target.name}"
    x = {"title": axis_title(title), "zeroline": True, "zerolinecolor": "ink"}
    figure = figure_of_traces(data, x, {"categoryorder": "array", "categoryarray": [*labels.values()][::-1]})
    figure["layout"]["height"] = 110 + 30 * len(rows)
    return figure


def _near(rows: Sequence[ConfirmedNetwork], figures: Mapping[str, Interval]) -> set[str]:
    """Return the candidates, and the baselines that are not much further from 0 than a candidate's interval reaches."""
    candidates = {one.network.name for one in rows if not one.network.baseline}
    reach = max((abs(figures[name].mean) + figures[name].half_width for name in candidates), default=math.inf)
    if math.isnan(reach):
        return set(figures)
    return candidates | {name for name, figure in figures.items() if abs(figure.mean) <= 2 * reach}


def figure_of_traces(data: list[Figure], x: Figure, y: Figure) -> Figure:
    """Return the figure with these traces and axes, without traces that are empty."""
    axis = {"gridcolor": "line", "linecolor": "line", "zeroline": False, "automargin": True, "tickcolor": "line"}
    return {
        "data": [trace for trace in data if trace["x"]],
        "layout": {
            "xaxis": axis | x,
            "yaxis": axis | y,
            "font": {"color": "muted", "family": "ui-sans-serif, system-ui, sans-serif", "size": 13},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 28, "t": 8, "b": 8},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"bgcolor": "paper", "bordercolor": "line", "font": {"color": "ink"}, "align": "left"},
            "hovermode": "closest",
        },
    }


def axis_title(text: str) -> Figure:
    """Return the title of an axis."""
    return {"text": text_of(text), "font": {"size": 13}, "standoff": 12}


def _points(some: pd.DataFrame, board: pd.DataFrame, goals: Goals, cost: str, name: str, marker: Figure) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [float(value) for value in some[cost]],
        "y": [rounded(value) for value in some["expected"]],
        "marker": marker,
        "hovertext": hovers(some, board, goals),
        "hoverinfo": "text",
        "customdata": [int(trial) for trial in some["trial"]],
    }


def hovers(some: pd.DataFrame, board: pd.DataFrame, goals: Goals) -> list[str]:
    """Return the text of the hover box of each candidate. Plotly reads HTML there, so everything is escaped."""
    shows = formats(board, goals)
    told = []
    for row in some.astype(dict.fromkeys(shows, "float64")).to_dict("records"):
        figures = [f"{show(row[column])} {goals.columns[column].title}" for column, show in shows.items()]
        title = f"<b>trial {row['trial']}</b> {text_of(row['name'])}"
        line = "<br>".join(text_of(part) for part in textwrap.wrap(row["topology"], 44)[:8])
        told.append(f"{title}<br>{text_of(' · '.join(figures[:3]))}<br>{text_of(' · '.join(figures[3:]))}<br>{line}")
    return told


def text_of(text: object) -> str:
    """Return text as plotly, which reads HTML, shows it unchanged."""
    return escape(str(text))


def line(x: Sequence[Any], y: Sequence[Any], name: str, colour: str, width: int = 2, dash: str = "solid") -> Figure:
    """Return the trace of a line."""
    drawn = {"color": colour, "width": width, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": text_of(name), "x": list(x), "y": list(y), "line": drawn}


def rounded(value: float) -> float:
    """Return a value without digits that no plot can show."""
    return float(f"{value:.{DIGITS}g}")


def _thinned(epochs: list[float], values: list[float]) -> tuple[list[float], list[float]]:
    """Return at most EPOCHS points of a curve, its first and its last among them."""
    if len(epochs) > EPOCHS:
        kept = [round(place * (len(epochs) - 1) / (EPOCHS - 1)) for place in range(EPOCHS)]
        epochs, values = [epochs[place] for place in kept], [values[place] for place in kept]
    return epochs, [rounded(value) for value in values]


def _curve(curve: object, metric: str) -> tuple[list[float], list[float]]:
    """Return the epochs and the values of a curve, without those that are no finite numbers."""
    records = curve if isinstance(curve, list) else []
    points = [(float(number_at(record, "epoch")), float(number_at(record, metric))) for record in records]
    points = [point for point in points if all(map(math.isfinite, point))]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _axis(values: pd.Series[float], unit: Unit) -> Figure:
    """Return an axis, logarithmic where the largest value is more than four times the smallest; the ticks of bytes
    stand at powers of two.
    """
    if values.empty:
        return {}
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high / low > LOG_FROM
    axis: Figure = {"type": "log" if logarithmic else "linear"}
    if not unit.binary:
        suffix = {"ticksuffix": text_of(unit.suffix)} if unit.suffix else {}
        return axis | suffix | {"tickformat": unit.ticks} | ({"dtick": "D2"} if logarithmic else {})
    ticks = _powers(low, high) if logarithmic else _multiples(low, high)
    return axis | {"tickvals": ticks, "ticktext": [_bytes(tick) for tick in ticks]}


def _powers(low: float, high: float) -> list[int]:
    """Return at most seven evenly spaced powers of two around low … high."""
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    return [2**power for power in range(first, last + 1, 1 + (last - first) // 7)]


def _multiples(low: float, high: float) -> list[int]:
    """Return at most nine multiples of a power of two around low … high."""
    step = 2 ** max(0, math.ceil(math.log2(max((high - low) / 6, high / 256, 1))))  # below, labels would be alike
    return [step * k for k in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _bytes(tick: int) -> str:
    """Return a tick without superfluous digits: `4 MiB`, `1.5 GiB`."""
    value, unit = units.memory(tick).split(" ")
    return f"{float(value):g} {unit}"


def metric_ticks(board: pd.DataFrame, goals: Goals) -> str:
    """Return the format of the ticks of an axis of the metric."""
    return unit_of(board, goals, goals.metric).ticks


def _shown(done: pd.DataFrame, front: pd.DataFrame, goals: Goals) -> tuple[float, float] | None:
    """Return the range of the metric's axis: that of the front and of the better nine tenths near it.

    What is further below the front than the front is high, and than the better half of the candidates are, is outside.
    """
    values = done["expected"]
    if len(values) < 10:
        return None
    sign = 1.0 if goals.target.direction == "maximize" else -1.0
    risen, on_front = sign * values, sign * front["expected"]
    best = float(risen.max())
    near = best - 2 * max(best - float(on_front.min()), best - float(risen.quantile(0.5)))
    inside = risen[risen >= near]
    low = min(float(inside.min()), float(on_front.min()))
    if low == best:
        return None
    first, last = sorted((sign * (low - 0.08 * (best - low)), sign * (best + 0.06 * (best - low))))
    return first, last


def _error_bars(some: pd.DataFrame, colour: str) -> Figure:
    """Return half of the interval of what is expected of each, where it is known."""
    if not some["half_width"].notna().any():
        return {}
    return {"error_y": {"type": "data", "array": some["half_width"].fillna(0).tolist(), "color": colour, "width": 3}}


def _beside(values: pd.Series[float]) -> list[str]:
    """Return where the name of each point stands, so that those of neighbours do not meet."""
    places = ("bottom center", "top center", "bottom left", "top right")
    order = values.rank(method="first").astype(int) - 1
    return [places[place % len(places)] for place in order]


def _note(text: str) -> Figure:
    """Return a note at the lower edge of a plot."""
    at = {"xref": "paper", "yref": "paper", "x": 1, "y": 0, "xanchor": "right", "yanchor": "bottom"}
    lines = "<br>".join(map(text_of, textwrap.wrap(text, 40)))
    return at | {"text": lines, "align": "right", "showarrow": False, "font": {"color": "warm", "size": 12}}
