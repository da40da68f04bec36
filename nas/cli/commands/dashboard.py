"""`nas dashboard`: serve the Optuna dashboard on the study of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.printing import say
from nas.cli.root import RunName, app
from nas.errors import NasError


@app.command(rich_help_panel="Watch")
def dashboard(
    run: RunName = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to serve on; localhost can be reached from this machine only.")
    ] = "localhost",
) -> None:
    """Serve the Optuna dashboard on the study of a run, until Ctrl-C.

    Example: [bold]nas dashboard --port 8081[/bold]
    """
    from optuna_dashboard import run_server

    from nas.study import Run

    opened = Run.open(run)
    say(f"dashboard of {opened.name} at http://{host}:{port}/ (Ctrl-C ends it)")
    try:
        run_server(opened.storage, host=host, port=port)
    except OSError as error:
        raise NasError(f"--port {port} cannot be served on {host}: {error.strerror}") from None
