"""The findings of an ablation as a table for a terminal, and as a data frame."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.ablated import BETTER, HARMFUL, NEEDED, WORSE, Ablated, Part
from nas.analysis.factors import number_of
from nas.analysis.paired import Difference, Figure, written, written_difference

COLUMNS = ("block", "skip", "change", "params", "after it", "retrained", "lesioned", "")
ALL = "all"
WIDE = 100  # characters of a terminal that holds all columns
GOOD, BAD = (NEEDED, BETTER), (HARMFUL, WORSE)


def ablated_frame(found: Ablated) -> pd.DataFrame:
    """Return a row for each change, and one for the network without all skips that are of no use.

    Columns: place (ALL for that), before, after, key, params, word, failed; of value (the changed network, trained) n,
    mean, sd, low and high; of retrained and lesioned (how much better the whole network is) each n, mean, low, high, p
    and p_holm.
    """
    rows = []
    for part in found.rows:
        one = part.variant
        row = {
            "place": one.place or ALL,
            "before": one.before,
            "after": one.after,
            "key": one.key,
            "params": one.params,
        }
        row |= {"word": part.word, "failed": part.failed}
        row |= {f"value_{name}": getattr(part.value, name) for name in ("n", "mean", "sd", "low", "high")}
        for title, difference in (("retrained", part.retrained), ("lesioned", part.lesioned)):
            row |= {f"{title}_{name}": _of(difference, name) for name in ("n", "mean", "low", "high", "p", "p_holm")}
        rows.append(row)
    return pd.DataFrame(rows)


def ablated_table(found: Ablated, width: int = 100) -> Table:
    """Return a row for each change, with what the skip is worth to the network; less of it on a narrow terminal."""
    titles = [title for title in COLUMNS if width >= WIDE or title not in ("params", "lesioned")]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    for title in titles:
        right = title in ("block", "params", "after it", "retrained", "lesioned")
        table.add_column(title, justify="right" if right else "left", no_wrap=title != "")
    before = ""
    for part in found.rows:
        cells = ablated_cells(found, part)
        shown = cells | ({"block": "", "skip": ""} if part.variant.place == before else {})
        style = "green" if part.word in GOOD else "red" if part.word in BAD else "dim"
        table.add_row(*(Text(shown[title], style if title in ("", "retrained") else "") for title in titles))
        before = part.variant.place
    table.caption = Text("\n".join(ablated_legend(found)), "dim")
    return table


def ablated_cells(found: Ablated, part: Part) -> dict[str, str]:
    """Return the texts of a row, by COLUMNS."""
    one = part.variant
    cells = (
        str(number_of(one.place)) if one.place else ALL,
        one.before or "idle",
        "removed" if part.removes else f"→ {one.after}",
        units.count(one.params),
        written(part.value, found.unit),
        written_difference(part.retrained, found.unit),
        written_difference(part.lesioned, found.unit),
        part.word,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def ablated_legend(found: Ablated) -> list[str]:
    """Return what the columns mean, a line each."""
    name, seeds = found.plan.whole.name, len(found.plan.seeds)
    return [
        f"after it: {found.target.title} of the changed network; mean ± half of the 95 % interval over {seeds} seeds",
        f"retrained: how much better {name} is than the changed network, seed by seed; lesioned: than itself, changed "
        "after training",
        "the word is corrected for how many changes are compared (Holm); what is surely worth less than two standard "
        "deviations of a training does nothing",
    ]


def _of(difference: Difference | None, name: str) -> float:
    if difference is None:
        return float("nan")
    holder: Figure | Difference = difference if name in ("p", "p_holm") else difference.figure
    return float(getattr(holder, name))
