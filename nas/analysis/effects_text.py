"""What decisions are worth as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.effects import Effects, rows_of
from nas.analysis.factors import place_of, what_of

WIDE = 14  # characters of an effect with its interval, and the gap after it
FEW = 5  # pairs that are shown


def effects_tables(found: Effects, width: int = 100) -> Iterator[Table]:
    """Yield the tables of what is worth what: one more block of a kind, each block, the other decisions, pairs."""
    yield _counts(found)
    of_block = found.cells["decision"].map(place_of) != ""
    what = found.cells["decision"].map(what_of)
    for name in dict.fromkeys(what[of_block]):
        yield by_block(found, found.cells[what == name], width)
    if (~of_block).any():
        yield _others(found, found.cells[~of_block])
    if found.pairs["separated"].any():
        yield _pairs(found)


def by_block(found: Effects, cells: pd.DataFrame, width: int) -> Table:
    """Return a row for each block and a column for each value; intervals where there is room for them."""
    values = sorted(set(cells["value"]), key=lambda value: (value.startswith("long"), value))
    reference = cells["reference"].mode().iloc[0]
    table = _new(f"{what_of(cells['decision'].iloc[0])} of each block, compared with {reference}", "block", *values)
    intervals = width >= 8 + WIDE * len(values)
    for decision, some in cells.groupby("decision", sort=True):
        known = {row["value"]: row for row in rows_of(some)}
        name = str(int(place_of(str(decision)).removeprefix("block")))
        table.add_row(name, *(_effect(found, known.get(value), intervals) for value in values))
    return table


def _counts(found: Effects) -> Table:
    table = _new(
        f"one more block, {found.objective.title}{found.unit.word and f' in{found.unit.word}'}", "", "blocks", "effect"
    )
    for row in rows_of(found.counts):
        table.add_row(row["what"], units.count(row["blocks"]), _effect(found, row))
    return table


def _others(found: Effects, cells: pd.DataFrame) -> Table:
    table = _new("other decisions", "", "topologies", "effect")
    for row in rows_of(cells):
        name = f"{row['decision']}: {row['value']} rather than {row['reference']}"
        table.add_row(name, units.count(row["topologies"]), _effect(found, row))
    return table


def _pairs(found: Effects) -> Table:
    table = _new("together, more than each on its own", "", "topologies", "effect")
    for row in rows_of(found.pairs[found.pairs["separated"]].head(FEW)):
        name = f"{row['decision']}: {row['value']}, and {row['other']}: {row['other_value']}"
        table.add_row(name, units.count(row["topologies"]), _effect(found, row))
    return table


def _new(title: str, first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _effect(found: Effects, row: Mapping[str, Any] | None, interval: bool = True) -> Text:
    """Return an effect: green or red where it is separated from 0, else dim."""
    if row is None:
        return Text("")
    half = f" ± {found.unit.amount((row['high'] - row['low']) / 2)}" if interval else ""
    better = (row["effect"] > 0) == (found.objective.direction == "maximize")
    style = "dim" if not row["separated"] else "bold green" if better else "bold red"
    return Text(f"{found.unit.signed(row['effect'])}{half}", style)
