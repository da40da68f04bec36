"""`nas list`: a table of all runs."""

from __future__ import annotations

from nas.cli.printing import console, print_frame
from nas.cli.root import AsCsv, AsJson, app, collect_garbage_seldom


@app.command("list", rich_help_panel="Watch")
def list_runs(csv: AsCsv = False, json: AsJson = False) -> None:
    """List all runs and what each of them found.

    Example: [bold]nas list --json[/bold]
    """
    from nas.analysis.overview import runs_frame, runs_table
    from nas.study import Run

    collect_garbage_seldom()
    frame = runs_frame(Run.list())
    if not print_frame(frame, csv, json):
        console().print(runs_table(frame))
