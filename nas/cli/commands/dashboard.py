"""`nas dashboard`: serve the Optuna dashboard on the study of a run, or on all runs."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.printing import say
from nas.cli.root import RunName, app


@app.command(rich_help_panel="Watch")
def dashboard(
    run: RunName = None,
    every: Annotated[bool, typer.Option("--all", help="Show all runs, and those that begin meanwhile.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse whatever would change a study.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to serve on; 0: any free one. Default: the first from 8080 on that is free."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on; localhost can be reached from this machine only.")
    ] = "localhost",
) -> None:
    """Serve the Optuna dashboard on the study of a run, until Ctrl-C.

    What is attached to a trial there lies in artifacts/ of the run.

    Examples: [bold]nas dashboard --open[/bold], [bold]nas dashboard --all --read-only --host 0.0.0.0[/bold]
    """
    from nas.study import Run
    from nas.watching import Board, bind, serve

    chosen = None if every and run is None else Run.open(run)
    board = Board.of_all(say, chosen, read_only) if every or chosen is None else Board.of_run(chosen, read_only)
    server = bind(host, port)
    address = server.url + board.path
    say(f"dashboard of {board.title} at {address} (Ctrl-C ends it)")
    if not (server.is_local or read_only):
        say(f"anybody who reaches port {server.server_port} can change the study; --read-only forbids it")
    if open_browser:
        _open(address)
    serve(server, board.app, say)


def _open(address: str) -> None:
    """Open the address in a browser, in a thread, because a browser in the terminal waits for the first page."""
    import threading
    import webbrowser

    def run() -> None:
        if not webbrowser.open(address):
            say("no browser could be opened: open the address yourself")

    threading.Thread(target=run, daemon=True).start()
