"""Print for the commands: data and tables on stdout, messages on stderr. rich and nas.analysis are imported late."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from nas.space import Goals
    from nas.study import Run

SELDOM_S = 10  # seconds between two lines about what is being done, where stderr is no terminal


def say(message: str) -> None:
    """Print a message to the user on stderr, because stdout is for data."""
    typer.echo(message, err=True)


@contextlib.contextmanager
def doing(message: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done, and yield a function that takes what is done next.

    In a terminal it is a line that is replaced; elsewhere, as in the log of a cluster, one now and then.
    """
    from rich.console import Console

    error = Console(stderr=True)
    if error.is_terminal:
        with error.status(message) as status:
            yield status.update
        return
    said = time.monotonic() - SELDOM_S

    def tell(message: str) -> None:
        nonlocal said
        if time.monotonic() >= said + SELDOM_S:
            said = time.monotonic()
            say(message)

    yield tell


def console() -> Console:
    """Return a rich console that prints on stdout, as wide as the terminal."""
    from rich.console import Console

    return Console()


def print_json(data: dict[str, Any]) -> None:
    """Print plain data as indented JSON on stdout."""
    import json

    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_frame(frame: pd.DataFrame, csv: bool, json: bool) -> bool:
    """Print the frame on stdout as CSV or as JSON, and return True; return False if neither is asked for."""
    if csv:
        typer.echo(frame.to_csv(index=False), nl=False)
    elif json:
        typer.echo(frame.to_json(orient="records", indent=2, force_ascii=False, date_format="iso"))
    return csv or json


def print_leaderboard(run: Run, by: str | None, top: int | None, csv: bool = False, json: bool = False) -> None:
    """Print the `top` candidates of the run, sorted by `by` (None: by the metric): a table, CSV or JSON."""
    from nas.analysis import leaderboard, leaderboard_table

    goals, frame = run.space.goals, run.frame()
    board = leaderboard(frame, goals=goals, by=by, top=top)
    if not print_frame(board, csv, json):
        screen = console()
        screen.print(leaderboard_table(board, goals, width=screen.width))
        print_proxy_worth(frame, goals)


def print_proxy_worth(frame: pd.DataFrame, goals: Goals) -> None:
    """Print how well each proxy predicted the metric; print nothing if too few candidates are finished to say."""
    from nas.analysis import proxy_correlations, proxy_worth_line

    table = proxy_correlations(frame, goals)
    if not table.empty:
        console().print(proxy_worth_line(table, goals))
