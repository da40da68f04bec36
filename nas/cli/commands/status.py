"""`nas status`: how far a search is."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.printing import console, print_frame, print_json, print_proxy_worth, say
from nas.cli.root import AsCsv, AsJson, RunName, app, collect_garbage_seldom
from nas.errors import NasError

if TYPE_CHECKING:
    from nas.analysis.search_status import StatusReader

EVERY_S = 2.0  # seconds between two drawings
LINES = 16  # of the view besides the rows of its table, and the line of the prompt


@app.command(rich_help_panel="Watch")
def status(
    run: RunName = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Draw again every two seconds until it ends.")] = False,
    csv: AsCsv = False,
    json: AsJson = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Show the searches that nas submit sent to this cluster, http://HEAD:8265."),
    ] = None,
) -> None:
    """Show how far a search is: what is trained now, what has ended and why, the best so far beside the best baseline,
    the time spent and left, and whether the search is alive.

    Examples: [bold]nas status digits-20260105-093000[/bold], [bold]nas status --watch[/bold], [bold]nas status --json |
    jq .best.expected[/bold]
    """
    from nas.analysis.overview import runs_frame
    from nas.analysis.search_status import StatusReader
    from nas.analysis.search_status_text import status_dict, status_view
    from nas.study import Run

    if address is not None:
        _show_jobs(address, run, csv, json)
        return
    collect_garbage_seldom()
    if watch and (csv or json):
        raise NasError("--watch draws in a terminal: leave out --csv and --json")
    opened = Run.open(run)
    if csv:
        print_frame(runs_frame([opened]), csv, json)
        return
    reader = StatusReader(opened)
    if json:
        print_json(status_dict(reader.read()))
        return
    if watch:
        _watch(reader)
    else:
        screen = console()
        screen.print(status_view(reader.read(), screen.width))
    print_proxy_worth(reader.frame, opened.space.goals)


def _show_jobs(address: str, name: str | None, csv: bool, json: bool) -> None:
    """Show the searches on a cluster, or the one with this id or of this run."""
    from nas.searching.jobs import Jobs, jobs_frame, jobs_table

    jobs = Jobs(address)
    found = [jobs.get(name)] if name else jobs.all()
    if not print_frame(jobs_frame(found), csv, json):
        console().print(jobs_table(found))
        say(f"nas submit --address {jobs.address} --follow JOB shows what one of them prints")


def _watch(reader: StatusReader) -> None:
    """Draw the status again and again, in place, until the search ends or a person presses Ctrl-C."""
    from rich.live import Live

    from nas.analysis.search_status_text import status_view

    screen = console()
    if not screen.is_terminal:
        raise NasError("--watch needs a terminal: nas status --json gives the same as data")
    status = reader.read()
    with contextlib.suppress(KeyboardInterrupt), Live(console=screen, auto_refresh=False) as live:
        while True:
            live.update(status_view(status, screen.width, max(1, screen.height - LINES)), refresh=True)
            if not status.goes_on:
                return
            time.sleep(EVERY_S)
            status = reader.read()
