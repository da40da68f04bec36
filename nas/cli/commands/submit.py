"""`nas submit`: search on a Ray cluster, from any machine that reaches it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.printing import say
from nas.cli.root import JobApi, app
from nas.errors import NasError

if TYPE_CHECKING:
    from nas.searching.jobs import Job, Jobs

PLAIN = {"ignore_unknown_options": True}  # those of `nas search` are among the arguments


@app.command(rich_help_panel="Search", context_settings=PLAIN)
def submit(
    address: JobApi,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="SPACE [OPTIONS]", help="As nas search takes them; --resume RUN instead of a space."),
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="What travels: space, code, small data (100 MiB). Default: this folder.")
    ] = Path(),
    root: Annotated[
        str | None,
        typer.Option(help="Folder of runs on the head. Default: its NAS_RUNS, or runs in its home."),
    ] = None,
    follow: Annotated[str | None, typer.Option(metavar="ID", help="Follow a search that was submitted before.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="ID", help="Stop a search, as Ctrl-C does.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the search.")] = False,
) -> None:
    """Search on a Ray cluster from any machine: by Ray's job API, the address of its dashboard.

    Takes the options of nas search. The folder travels to every node: the space, the task's file, packages beside them,
    data named by a relative path; absolute paths are those of the cluster. The output is followed; Ctrl-C only lets go
    of it, and --follow comes back. The run stays on the head: with --storage URL it can be watched from anywhere.

    Examples: [bold]nas submit digits --trials 200 --address http://head:8265[/bold], [bold]nas submit --address
    http://head:8265 --follow digits-20260105-093000[/bold]
    """
    from nas.searching.jobs import Jobs

    if sum(map(bool, (arguments, follow, stop))) != 1:
        raise NasError("submit needs one of: a SPACE (or --resume RUN), --follow ID, --stop ID")
    search, run = _search(arguments, folder) if arguments else ([], "")
    jobs = Jobs(address)
    if stop is not None:
        job = jobs.get(stop)
        say(f"{job.id} is asked to end" if jobs.stop(job) else f"{job.id} has ended before: {job.state}")
        return
    if follow is None:
        follow = jobs.submit(search, run, folder.absolute(), root)
        say(f"run {run} is job {follow} of {jobs.address}")
    if detach:
        _say_how_to_come_back(jobs, follow)
        return
    _follow(jobs, jobs.get(follow))


def _search(arguments: list[str], folder: Path) -> tuple[list[str], str]:
    """Return the arguments of `nas search` on the cluster, and the name of the run.

    The paths among them, which are relative to this folder, become relative to the one that travels. Raises NasError.
    """
    given = _parsed(arguments)
    if given["address"] is not None:
        raise NasError("--address is that of the job API: the search itself runs on its cluster")
    if (given["space"] is None) == (given["resume"] is None):
        raise NasError("submit needs either a SPACE or --resume RUN")
    words = [_travelling(word, folder) for word in arguments]
    run = given["resume"] or given["name"]
    if run is None:
        run = f"{Path(given['space']).stem}-{datetime.now():%Y%m%d-%H%M%S}"
        words += ["--name", run]
    return words, run


def _parsed(arguments: list[str]) -> dict[str, Any]:
    """Return the parameters of `nas search` with these arguments; a wrong one ends the program as it does there."""
    search = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    return dict(search.make_context("nas search", list(arguments)).params)


def _travelling(word: str, folder: Path) -> str:
    """Return an argument; if it is a relative path of a file here, relative to the folder that travels.

    Raises NasError if the file is outside of that folder.
    """
    path = Path(word)
    if path.is_absolute() or not path.is_file():
        return word
    if not path.resolve().is_relative_to(folder.resolve()):
        raise NasError(f"{word} is not in {folder.absolute()}, the folder that travels: name another one with --folder")
    return path.resolve().relative_to(folder.resolve()).as_posix()


def _follow(jobs: Jobs, job: Job) -> None:
    """Print the output of a search until it ends, and exit with its code; Ctrl-C lets go of it."""
    try:
        ended = jobs.follow(job, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        _say_how_to_come_back(jobs, job.id)
        return
    if ended.state == "SUCCEEDED":
        return
    say(f"nas: {job.id}: {ended.state}" + (f": {ended.message}" if ended.code is None else ""))
    raise typer.Exit(ended.code or 1)


def _say_how_to_come_back(jobs: Jobs, id: str) -> None:
    here = f"nas submit --address {jobs.address}"
    say(f"the search goes on: {here} --follow {id} comes back to it, --stop {id} ends it")
