"""What decisions are worth as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.effects import Effects, rows_of
from nas.analysis.factors import number_of, place_of, what_of

WIDE = 14  # characters of an effect with its interval, and the gap after it
FEW = 5  # pairs that are shown


@dataclass(frozen=True)
class Matrix:
    """The effects of the values of one decision in each block.

    what       the decision: `skip`, `op` …
    reference  the value that the others are compared with
    values     the other values
    rows       for each block its number, and value → row of Effects.cells
    """

    what: str
    reference: str
    values: list[str]
    rows: list[tuple[str, dict[str, dict[str, Any]]]]


def matrices(found: Effects) -> Iterator[Matrix]:
    """Yield a matrix for each decision about blocks, that about skips first."""
    cells = found.cells[found.cells["decision"].map(place_of) != ""]
    whats = cells["decision"].map(what_of)
    for what in sorted(set(whats), key=lambda name: (name != "skip", name)):
        own = cells[whats == what]
        values = sorted(set(own["value"]), key=lambda value: (value.startswith("long"), value))
        rows = [
            (str(number_of(str(decision))), {row["value"]: row for row in rows_of(some)})
            for decision, some in own.groupby("decision", sort=True)
        ]
        yield Matrix(what, own["reference"].mode().iloc[0], values, rows)


def effects_tables(found: Effects, width: int = 100) -> Iterator[Table]:
    """Yield the tables of what is worth what: one more block of a kind, each block, the other decisions, pairs."""
    yield _counts(found)
    for matrix in matrices(found):
        yield _by_block(found, matrix, width)
    others = found.cells[found.cells["decision"].map(place_of) == ""]
    if len(others):
        yield _others(found, others)
    if found.pairs["separated"].any():
        yield _pairs(found)


def _by_block(found: Effects, matrix: Matrix, width: int) -> Table:
    """Return a row for each block and a column for each value; intervals where there is room for them."""
    table = _new(f"{matrix.what} of each block, compared with {matrix.reference}", "block", *matrix.values)
    intervals = width >= 8 + WIDE * len(matrix.values)
    for number, known in matrix.rows:
        table.add_row(number, *(_effect(found, known.get(value), intervals) for value in matrix.values))
    return table


def _counts(found: Effects) -> Table:
    table = _new(f"one more block, {found.measure}", "", "blocks", "effect")
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
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        min_width=len(title),
    )
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
