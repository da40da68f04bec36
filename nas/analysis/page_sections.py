"""The sections of the report on what commands found after a search, as plain data for its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.analysis.ablated import Ablated
from nas.analysis.ablated_text import COLUMNS as ABLATED
from nas.analysis.ablated_text import ablated_cells, ablated_legend
from nas.analysis.confirmed import Confirmed
from nas.analysis.confirmed_text import COLUMNS as CONFIRMED
from nas.analysis.confirmed_text import confirmed_cells, confirmed_legend
from nas.analysis.effects import Effects
from nas.analysis.effects_text import Matrix, matrices
from nas.analysis.factors import MAIN


def confirmed_section(found: Confirmed) -> dict[str, Any]:
    """Return what the page says of a confirmation: sentences, and a table."""
    cells = zip(found.networks, confirmed_cells(found), strict=True)
    rows = [{"name": one.network.name, "baseline": one.network.baseline, "cells": row} for one, row in cells]
    first, *others = found.verdict()
    legend = ". ".join(confirmed_legend(found))
    return {"first": first, "others": others, "rows": rows, "columns": CONFIRMED, "legend": legend}


def effects_section(found: Effects) -> dict[str, Any]:
    """Return what the page says of effects: sentences, and a matrix of blocks for each decision about them."""
    main = [matrix for matrix in matrices(found) if matrix.what in MAIN]
    known = [vars(matrix) | {"rows": _matrix_rows(found, matrix)} for matrix in main]
    return {"sentences": found.verdict(), "matrices": known, "measure": found.measure}


def _matrix_rows(found: Effects, matrix: Matrix) -> list[dict[str, Any]]:
    """Return the blocks of a matrix with a cell for each value; `share` is the size of an effect, of the largest."""
    sign = 1 if found.objective.direction == "maximize" else -1
    largest = max((abs(row["effect"]) for _, known in matrix.rows for row in known.values()), default=0) or 1.0

    def cell(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if row is None:
            return None
        told = f"{found.show(row)} over {row['topologies']} topologies"
        better, share = sign * row["effect"] > 0, round(abs(row["effect"]) / largest, 3)
        text = found.unit.signed(row["effect"])
        return {"text": text, "told": told, "better": better, "share": share, "sure": row["separated"]}

    return [
        {"block": number, "cells": [cell(known.get(value)) for value in matrix.values]} for number, known in matrix.rows
    ]


def ablated_section(found: Ablated) -> dict[str, Any]:
    """Return what the page says of an ablation: sentences, and a table."""
    rows = [ablated_cells(found, part) for part in found.rows]
    legend = ". ".join(ablated_legend(found))
    return {
        "sentences": found.verdict(),
        "rows": rows,
        "columns": ABLATED,
        "legend": legend,
        "name": found.plan.whole.name,
    }
