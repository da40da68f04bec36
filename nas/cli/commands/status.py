"""`nas status`: how far a search is."""

from __future__ import annotations

from nas.cli.printing import console, print_frame, print_proxy_worth
from nas.cli.root import AsCsv, AsJson, RunName, app


@app.command(rich_help_panel="Watch")
def status(run: RunName = None, csv: AsCsv = False, json: AsJson = False) -> None:
    """Show how far a search is: its candidates by state, the best so far, and what is being trained.

    Example: [bold]nas status digits-20260105-093000[/bold]
    """
    from nas.analysis.overview import running_table, runs_frame, runs_table
    from nas.study import Run

    opened = Run.open(run)
    frame = runs_frame([opened])
    if not print_frame(frame, csv, json):
        console().print(runs_table(frame))
        console().print(running_table(opened))
        print_proxy_worth(opened)
