"""`nas report`: write report.html."""

from __future__ import annotations

import typer

from nas.cli.root import RunName, app


@app.command(rich_help_panel="Analyse")
def report(run: RunName = None) -> None:
    """Write runs/NAME/report.html, one page that can be read offline, and print its path.

    Example: [bold]nas report[/bold]
    """
    from nas.analysis import report as write_report
    from nas.study import Run

    typer.echo(write_report(Run.open(run)))
