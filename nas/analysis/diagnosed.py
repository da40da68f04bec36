"""A diagnosis for people: the page diagnosis.html with pictures of one network or of two, a table, and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from nas import units
from nas.analysis.figures import Figure, axis_title, figure_of_traces, line, text_of
from nas.analysis.self_contained import render
from nas.study.plain import as_json

if TYPE_CHECKING:
    from nas.diagnosis import Diagnosis

COLOURS = ("accent", "warm")
FEWEST = 1e-3  # share of the paths below which a length is not drawn


def diagnosis_page(found: Sequence[Diagnosis], task: str) -> str:
    """Return the HTML of the diagnosis of one or two networks on a task."""
    plots = {
        "gradients": _flow(found, "gradients", "norm of the gradient of a block's weights"),
        "activations": _flow(found, "activations", "root mean square of a block's output"),
        "lengths": _lengths(found),
        "probes": _probes(found),
        "openness": _openness(found),
    }
    pairs: dict[str, list[tuple[str, str]]] = {"surface": [], "similarity": [], "reuse": []}
    for number, one in enumerate(found):
        drawn = {"surface": _surface(one, found), "similarity": _similarity(one), "reuse": _reuse(one)}
        for kind, figure in drawn.items():
            if figure is not None:
                plots[f"{kind}{number}"] = figure
                pairs[kind].append((one.name, f"{kind}{number}"))
    return render(
        "diagnosis.html.j2",
        names=[one.name for one in found],
        task=task,
        rows=[_row(one) for one in found],
        sentences=diagnosis_words(found),
        plots={name: figure for name, figure in plots.items() if figure["data"]},
        pairs=pairs,
    )


def diagnosis_dict(found: Sequence[Diagnosis], task: str) -> dict[str, Any]:
    """Return all of it as plain data for JSON; a number that is not finite is None."""
    networks = [one.to_dict() for one in found]
    known: dict[str, Any] = as_json({"task": task, "networks": networks, "verdict": diagnosis_words(found)})
    return known


def _row(one: Diagnosis) -> dict[str, str]:
    """Return the figures of a network as texts, by title."""
    first = [curve[0]["loss"] for curve in one.curves if curve]
    ended = [curve[-1][one.metric] for curve in one.curves if len(curve) == one.epochs]
    diverged, gradients = sum(len(curve) < one.epochs for curve in one.curves), one.start.gradients
    return {
        "network": one.name,
        "parameters": units.count(one.params),
        f"{one.metric} on validation": _spread(ended, units.metric),
        "loss after one epoch": _spread(first, units.number),
        "diverged": str(diverged),
        "mean path": f"{one.paths['mean_path']:.1f} of {one.paths['longest_path']:.0f}",
        "gradient of block 1 at the start": units.number(gradients[1] if len(gradients) > 1 else None),
        "sharpness": units.MISSING if one.trained is None else units.number(one.trained.sharpness),
    }


def diagnosis_table(found: Sequence[Diagnosis]) -> Table:
    """Return the figures as a table for a terminal, a column for each network."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for one in found:
        table.add_column(one.name, justify="right", overflow="fold")
    rows = [_row(one) for one in found]
    for title in list(rows[0])[1:]:
        table.add_row(title, *(row[title] for row in rows))
    return table


def diagnosis_words(found: Sequence[Diagnosis]) -> list[str]:
    """Return in plain sentences what the figures say of the second network, compared with the first."""
    if len(found) < 2 or any(len(one.start.gradients) < 3 for one in found):
        return []
    first, second = found
    falls = [_fall(one) for one in found]
    words = [
        f"At the start the gradient of the first block is {_times(falls[0])} that of the last in {first.name}, and "
        f"{_times(falls[1])} in {second.name}."
    ]
    ratio = second.start.gradients[1] / (first.start.gradients[1] or math.nan)
    if math.isfinite(ratio):
        words.append(f"The gradient of the first block of {second.name} is {_times(ratio)} that of {first.name}.")
    if first.trained is not None and second.trained is not None and first.trained.sharpness > 0:
        ratio = second.trained.sharpness / first.trained.sharpness
        words.append(f"Around its weights the loss of {second.name} curves {_times(ratio)} as much.")
    return words


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _fall(one: Diagnosis) -> float:
    """Return how many times the gradient of the first block at the start is that of the last."""
    gradients = one.start.gradients
    return gradients[1] / gradients[-1] if gradients[-1] else math.inf


def _spread(values: Sequence[float], show: units.Show) -> str:
    if not values:
        return units.MISSING
    if len(values) == 1:
        return show(values[0])
    return f"{show(sum(values) / len(values))} ({show(min(values))} to {show(max(values))})"


def _flow(found: Sequence[Diagnosis], what: str, title: str) -> Figure:
    """Return the plot of a scale over the nodes, dotted at the start, and drawn through after the training."""
    data = []
    for one, colour in zip(found, COLOURS, strict=False):
        moments = [("at the start", one.start, "dot")]
        moments += [("after training", one.trained.flow, "solid")] if one.trained else []
        for moment, flow, dash in moments:
            values = getattr(flow, what)
            data.append(line(range(len(values)), values, f"{one.name} {moment}", colour, dash=dash))
    y = {"title": axis_title(title), "type": "log", "dtick": 1, "exponentformat": "power"}
    return figure_of_traces(data, _nodes(), y)


def _lengths(found: Sequence[Diagnosis]) -> Figure:
    """Return the plot of how long the paths are."""
    data = []
    for one, colour in zip(found, COLOURS, strict=False):
        kept = [(length, share) for length, share in enumerate(one.lengths) if share >= FEWEST]
        bars = {"type": "bar", "name": text_of(one.name), "x": [length for length, _ in kept]}
        data.append(bars | {"y": [share for _, share in kept], "marker": {"color": colour}})
    y = {"title": axis_title("share of all paths"), "tickformat": "~%"}
    return figure_of_traces(data, {"title": axis_title("transformations on a path")}, y)


def _probes(found: Sequence[Diagnosis]) -> Figure:
    data = [
        line(range(len(one.trained.probes)), one.trained.probes, one.name, colour)
        for one, colour in zip(found, COLOURS, strict=False)
        if one.trained
    ]
    y = {"title": axis_title("accuracy of a linear classifier"), "tickformat": "~%"}
    return figure_of_traces(data, _nodes(), y)


def _openness(found: Sequence[Diagnosis]) -> Figure:
    data = []
    for one, colour in zip(found, COLOURS, strict=False):
        known = one.trained.openness if one.trained else {}
        bars = {"type": "bar", "name": text_of(one.name), "x": list(known), "y": list(known.values())}
        data.append(bars | {"marker": {"color": colour}})
    y = {"title": axis_title("mean of the gate: share of F"), "range": [0, 1]}
    return figure_of_traces(data, {"title": axis_title("block")}, y)


def _surface(one: Diagnosis, found: Sequence[Diagnosis]) -> Figure | None:
    """Return the loss around the weights; the colours mean the same in the pictures of all networks."""
    known = [other.trained.surface.losses for other in found if other.trained]
    every = [value for losses in known for row in losses for value in row if value]
    if one.trained is None or not every:
        return None
    low, high = math.log10(min(every)), math.log10(max(every))
    surface = one.trained.surface
    logs = [[None if not value else math.log10(value) for value in row] for row in surface.losses]
    trace = {
        "type": "contour",
        "x": surface.steps,
        "y": surface.steps,
        "z": logs,
        "zmin": low,
        "zmax": high,
        "colorscale": "Viridis",
        "contours": {"start": low, "end": high, "size": (high - low) / 16 or 1.0},
        "colorbar": {"title": {"text": "log₁₀ loss"}, "thickness": 12, "outlinewidth": 0},
        "hovertemplate": "log₁₀ loss %{z:.2f}<extra></extra>",
    }
    square = {"constrain": "domain"}
    y = {"title": axis_title("another"), "scaleanchor": "x"}
    return figure_of_traces([trace], square | {"title": axis_title("one direction")}, square | y)


def _similarity(one: Diagnosis) -> Figure | None:
    if one.trained is None:
        return None
    nodes = list(range(len(one.trained.similarity)))
    trace = _heat(nodes, nodes, one.trained.similarity, "nodes %{x} and %{y}")
    square = _nodes() | {"constrain": "domain"}
    return figure_of_traces([trace], square, square | {"scaleanchor": "x", "autorange": "reversed"})


def _reuse(one: Diagnosis) -> Figure | None:
    """Return the mean |weight| by which each block reads each node, as a share of the largest of the block."""
    known = one.trained.reuse if one.trained else {}
    if not known:
        return None
    sources = sorted({source for row in known.values() for source in row})
    blocks = sorted(known)
    z = [[_share(known[block], source) for block in blocks] for source in sources]
    x, y = {"title": axis_title("block that reads")}, {"title": axis_title("node that is read")}
    return figure_of_traces([_heat(blocks, sources, z, "block %{x} of node %{y}")], x, y)


def _heat(x: Sequence[int], y: Sequence[int], z: Sequence[Sequence[float | None]], what: str) -> Figure:
    """Return the trace of a heat map of shares."""
    bar = {"thickness": 12, "outlinewidth": 0}
    shown = {"zmin": 0, "zmax": 1, "colorscale": "Viridis", "colorbar": bar}
    axes = {"x": list(x), "y": list(y), "z": [list(row) for row in z]}
    return {"type": "heatmap", "hovertemplate": f"{what}: %{{z:.2f}}<extra></extra>"} | axes | shown


def _share(row: dict[int, float], source: int) -> float | None:
    largest = max(row.values())
    return row[source] / largest if source in row and largest else None


def _nodes() -> Figure:
    return {"title": axis_title("node: 0 is the stem")}
