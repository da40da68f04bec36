"""What a confirmation tells as a table for a terminal, and as a data frame."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.confirmed import Confirmed
from nas.analysis.paired import Difference, Figure, written, written_difference

TIED = "≈"
COLUMNS = ("params", "searched", "validation", "test", "ahead", "")


def confirmed_frame(found: Confirmed) -> pd.DataFrame:
    """Return a row for each network, the best first.

    Columns: network, key, params, trial (of the search), baseline, searched, expected, n, failed; of validation and of
    test each its mean, sd, low and high; of ahead (of the best baseline) and behind (the best network) each the mean,
    low, high, p and p_holm.
    """
    rows = []
    for one in found.networks:
        known = one.network
        figures = {"validation": one.validation, "test": one.test}
        n = max(figure.n for figure in figures.values() if figure is not None)
        row = {"network": known.name, **known.model_dump(exclude={"name"}), "n": n, "failed": one.failed}
        for name, figure in figures.items():
            row |= {f"{name}_{part}": _of(figure, part) for part in ("mean", "sd", "low", "high")}
        for name, difference in (("ahead", one.ahead), ("behind", one.behind)):
            figure = None if difference is None else difference.figure
            row |= {f"{name}_{part}": _of(figure, part) for part in ("mean", "low", "high")}
            row |= {f"{name}_{part}": _of(difference, part) for part in ("p", "p_holm")}
        rows.append(row)
    return pd.DataFrame(rows)


def confirmed_table(found: Confirmed) -> Table:
    """Return a row for each network, the best first: means ± half of the 95 % interval, and the lead."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    table.add_column("network", overflow="fold")
    for title in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for one, cells in zip(found.networks, confirmed_cells(found), strict=True):
        style = "bold green" if one.ahead is not None and one.ahead.separated and one.ahead.figure.mean > 0 else ""
        name = Text(one.network.name, "bold bright_blue" if one.network.baseline else "")
        table.add_row(name, *(Text(cells[title], style if title == "ahead" else "") for title in COLUMNS))
    table.caption = Text("\n".join(confirmed_legend(found)), "dim")
    return table


def confirmed_cells(found: Confirmed) -> list[dict[str, str]]:
    """Return the texts of a row for each network, by COLUMNS."""
    rows = []
    for place, one in enumerate(found.networks):
        cells = (
            units.count(one.network.params),
            found.show(one.network.searched),
            written(one.validation, found.unit, found.show),
            written(one.test, found.unit, found.show),
            "baseline" if place == found.baseline else written_difference(one.ahead, found.unit),
            TIED if one.behind is not None and one.behind.tied else "",
        )
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def confirmed_legend(found: Confirmed) -> list[str]:
    """Return what the columns mean, a line each."""
    seeds = len(found.plan.seeds)
    lines = [f"mean ± half of the 95 % interval over {seeds} new seeds, the same for all; searched: in the search"]
    if found.baseline is not None:
        name, on = found.networks[found.baseline].network.name, "test" if found.on_test else "validation"
        lines.append(f"ahead: of {name}, the best baseline, on {on}, seed by seed")
    return [*lines, f"{TIED} not separated from the first, corrected for how many are compared"]


def _of(holder: Figure | Difference | None, part: str) -> float:
    return float("nan") if holder is None else float(getattr(holder, part))
