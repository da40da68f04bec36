"""The plots of what stands where: skips by block and kind, their effects, and which blocks matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas.analysis.figures import Figure, axis_title, figure_of_traces, metric_ticks, text_of
from nas.space import Goals

if TYPE_CHECKING:
    from nas.analysis.effects import Effects

SCALE = [[0, "#b2532f"], [0.5, "#f2f2f2"], [1, "#2c6fb5"]]  # from worse to better, for readers of any colour vision


def skip_map(frame: pd.DataFrame, board: pd.DataFrame, goals: Goals) -> Figure:
    """Return the heat map of the metric by block and kind of skip: the mean of the trials that have it there.

    Such a mean tells nothing of a cause: `effect_map` does.
    """
    done = frame[(frame["state"] == "COMPLETE") & frame[goals.metric].notna()]
    values: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    for topology, value in zip(done["topology"], done[goals.metric], strict=True):
        for number, kind in enumerate(_kinds(topology), 1):
            values[number, kind].append(float(value))
    means = {place: sum(found) / len(found) for place, found in values.items()}
    told = {place: f"{len(found)} trained" for place, found in values.items()}
    bar = {"title": {"text": text_of(f"mean {goals.metric}")}, "tickformat": metric_ticks(board, goals)}
    return _heat_map(means, told, {"colorscale": SCALE, "reversescale": _falls(goals), "colorbar": bar})


def effect_map(found: Effects, goals: Goals) -> Figure:
    """Return the heat map of the effect of a kind of skip in a block on the metric, beside none."""
    cells = found.cells[found.cells["decision"].str.endswith(".skip")]
    effects: dict[tuple[int, str], float] = {}
    told: dict[tuple[int, str], str] = {}
    for row in cells.to_dict("records"):
        number = int("".join(filter(str.isdigit, str(row["decision"]).partition(".")[0])) or 0)
        place = number, str(row["value"])
        effects[place] = float(row["effect"])
        told[place] = f"{row['low']:+.3g} to {row['high']:+.3g}" + (", separated" if row["separated"] else "")
    bar = {"title": {"text": text_of(f"effect on {goals.metric}")}}
    return _heat_map(effects, told, {"colorscale": SCALE, "zmid": 0, "reversescale": _falls(goals), "colorbar": bar})


def block_bars(found: Effects) -> Figure:
    """Return the bars of how much each block, or stage, matters: the importances of its decisions together."""
    places = found.importances.assign(place=found.importances["decision"].str.partition(".")[0])
    sums = places.groupby("place")["importance"].sum().sort_values()
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [float(one) for one in sums],
        "y": [text_of(one) for one in sums.index],
    }
    title = axis_title("importance (PED-ANOVA), all decisions of a block together")
    return figure_of_traces([bars | {"marker": {"color": "accent"}}], {"title": title}, {"type": "category"})


def _kinds(topology: object) -> Iterable[str]:
    """Yield the kinds of each block's skips; long ones have a word of their own. Nothing for damaged topologies."""
    blocks = topology.get("blocks") if isinstance(topology, Mapping) else None
    for block in blocks if isinstance(blocks, list) else ():
        known = block if isinstance(block, Mapping) else {}
        skips = known.get("skips")
        several = skips if isinstance(skips, list) else [known.get("skip")]
        yield ", ".join(_kind(skip) for skip in several if isinstance(skip, Mapping)) or "none"


def _kind(skip: Mapping[str, Any]) -> str:
    kind = str(skip.get("kind"))
    return kind if skip.get("source") is None else f"long {kind}"


def _heat_map(values: Mapping[tuple[int, str], float], told: Mapping[tuple[int, str], str], more: Figure) -> Figure:
    """Return the heat map of values by block (across) and kind (up), with a text in the hover box of each cell."""
    numbers = sorted({number for number, _ in values})
    kinds = sorted({kind for _, kind in values}, key=lambda kind: (kind != "none", kind.startswith("long"), kind))

    def table(cells: Mapping[tuple[int, str], Any]) -> list[list[Any]]:
        return [[cells.get((number, kind)) for number in numbers] for kind in kinds]

    trace: Figure = {"type": "heatmap", "x": numbers, "y": [text_of(kind) for kind in kinds], "z": table(values)}
    trace |= {"text": table(told), "xgap": 2, "ygap": 2, "hoverongaps": False} | more
    trace["hovertemplate"] = "block %{x}, %{y}: %{z:.4g}<br>%{text}<extra></extra>"
    across = {"title": axis_title("block"), "dtick": 1 + len(numbers) // 25, "showgrid": False}
    return figure_of_traces([trace], across, {"type": "category", "showgrid": False})


def _falls(goals: Goals) -> bool:
    return goals.target.direction == "minimize"
