"""`nas effects`: what is each skip worth?"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from nas.cli.printing import console, print_frame, print_json
from nas.cli.root import AsJson, RunName, app, collect_garbage_seldom
from nas.errors import NasError

TABLES = Literal["cells", "counts", "pairs", "steps", "importances"]


@app.command(rich_help_panel="Analyse")
def effects(
    run: RunName = None,
    objective: Annotated[
        str | None, typer.Option(help="What is worth what: the metric, or params, memory, flops … Default: the metric.")
    ] = None,
    csv: Annotated[
        TABLES | None,
        typer.Option(metavar="TABLE", help="CSV of one table on stdout: cells, counts, pairs, steps or importances."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what each kind of skip is worth in each block, with intervals, from all topologies of a run.

    An effect compares with a block without a skip, on average over the topologies, all else being equal. Says too
    whether it matters how many blocks have a skip or which, and which two are worth more together.

    Examples: [bold]nas effects[/bold], [bold]nas effects digits-1 --objective memory[/bold], [bold]nas effects --csv
    cells[/bold]
    """
    from nas.analysis import effects_of, effects_tables
    from nas.study import Run

    collect_garbage_seldom()
    if csv is not None and json:
        raise NasError("--csv and --json: choose one of the two")
    opened = Run.open(run)
    found = effects_of(opened, objective)
    if json:
        print_json({"run": opened.name, **found.to_dict()})
    elif not print_frame(getattr(found, csv or "cells"), csv is not None, json=False):
        screen = console()
        for table in effects_tables(found, screen.width):
            screen.print(table)
        for sentence in found.verdict():
            screen.print(sentence, highlight=False)
