"""`nas report`: write report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.root import RunName, app, collect_garbage_seldom


@app.command(rich_help_panel="Analyse")
def report(
    run: RunName = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File. Default: runs/NAME/report.html.")] = None,
) -> None:
    """Write runs/NAME/report.html, one page that can be read offline, and print its path.

    Examples: [bold]nas report[/bold], [bold]nas report digits-1 -o digits-1.html[/bold]
    """
    from nas.analysis import report as write_report
    from nas.study import Run

    collect_garbage_seldom()
    typer.echo(write_report(Run.open(run), out))
