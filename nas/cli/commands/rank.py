"""`nas rank`: the leaderboard of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.printing import print_leaderboard
from nas.cli.root import AsCsv, AsJson, RunName, app, collect_garbage_seldom


@app.command(rich_help_panel="Analyse")
def rank(
    run: RunName = None,
    by: Annotated[
        str | None, typer.Option(help="Sort by the metric, by a cost (params, memory …), by pareto or by knee.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows to show; baselines are always shown.")] = 20,
    csv: AsCsv = False,
    json: AsJson = False,
) -> None:
    """Show the leaderboard: every finished candidate, best first, and the baselines; ◆ marks the Pareto front.

    Candidates are ranked by what is expected of them, given all results; ≈ marks those that are not separated from the
    best, which is known where topologies were trained with several seeds.

    Example: [bold]nas rank --by params --csv > leaderboard.csv[/bold]
    """
    from nas.study import Run

    collect_garbage_seldom()
    print_leaderboard(Run.open(run), by, top, csv, json)
