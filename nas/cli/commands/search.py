"""`nas search`: search a space, then print the leaderboard, write the report and export the winner."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.naming import baselines_named
from nas.cli.printing import print_leaderboard, say
from nas.cli.root import Cluster, ShareOfGpu, Slots, TimeLimit, app
from nas.cli.signals import stopped
from nas.errors import NasError

if TYPE_CHECKING:
    from nas.study import Run


@app.command(rich_help_panel="Search")
def search(
    space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A search space: a YAML file, or the name of a shipped one.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Search with other data: csv:PATH?target=COLUMN, imagefolder:PATH, FILE.py:FUNCTION, …"),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Look results up in this JSON file instead of training (see the README)."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the space and the time.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue a run that was stopped.")] = None,
    join: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Search a run together with the processes that search it now, anywhere."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of candidates to finish, those before a --resume included.")
    ] = None,
    time: TimeLimit = None,
    slots: Slots = None,
    gpus_per_trial: ShareOfGpu = None,
    gpu_memory: Annotated[
        str | None,
        typer.Option(metavar="24GiB", help="Memory of each GPU that this search may use, with --gpus-per-trial auto."),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="topology, tpe, gp, nsga2, qmc, random or exhaustive.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampler and of every candidate.")] = None,
    pairs: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the trials that change one block of a leader, for nas effects."),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="Train this network first: a network.py, a topology file or a reference; may be repeated.",
        ),
    ] = None,
    reuse: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Take results from this run of the same task and recipe instead of training again; may be repeated.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Optuna storage. Default: NAS_STORAGE of the environment, or study.db."),
    ] = None,
    storage_timeout: Annotated[
        str | None,
        typer.Option(metavar="10m", help="Keep results in memory so long while the storage does not answer."),
    ] = None,
    address: Cluster = None,
    log_json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Append every event to this file, each as a line of JSON; - is stdout."),
    ] = None,
) -> None:
    """Search a space: train candidates, keep every result, report and export the best.

    Writes runs/NAME/: run.yaml, study.db, weights/, artifacts/ (of the dashboard), report.html and best/ (network.py,
    weights.safetensors, card.md). Ctrl-C, SIGTERM and a closed terminal stop cleanly, with exit code 130, 143 or
    129, and at once when repeated; --resume continues. With --join several processes, on any machines
    that reach the storage, search one run; any may end or die. A result taken from another run does not count as one of
    the --trials.

    Examples: [bold]nas search digits --trials 20[/bold], [bold]nas search highway_tabular --task
    "csv:patients.csv?target=outcome"[/bold], [bold]nas search digits --baseline mine/network.py[/bold]
    """
    from nas.searching.driver import search as run_search
    from nas.space import SearchSpace
    from nas.study import Run
    from nas.study.storage_url import VARIABLE

    if sum(one is not None for one in (space, resume, join)) != 1:
        raise NasError("search needs either a SPACE, or --resume RUN, or --join RUN")
    for option, value in (("--task", task), ("--table", table)):
        if value is not None and space is None:
            raise NasError(f"{option} is for a new search: a run keeps its task")
    loaded = SearchSpace.load(space, task, table) if space is not None else None
    for note in () if loaded is None else loaded.task.notes:
        say(f"data     {note}")
    run = run_search(
        loaded,
        name=name,
        resume=resume,
        join=join,
        trials=trials,
        time=time,
        slots=slots,
        gpus_per_trial=gpus_per_trial,
        gpu_memory=gpu_memory,
        sampler=sampler,
        seed=seed,
        pairs=pairs,
        baselines=baselines_named(baseline or [], loaded or Run.open(resume or join).space),
        reuse=reuse or (),
        storage=storage or (os.environ.get(VARIABLE) if resume is None else None),
        storage_timeout=storage_timeout,
        address=address,
        log_json=log_json,
    )
    _finish(run, with_table=log_json != "-")
    if run.interrupted:
        raise stopped(run)


def _finish(run: Run, *, with_table: bool) -> None:
    """Print the leaderboard, write the report and export the winner of a search that has ended."""
    from nas.analysis import report
    from nas.export import export_run
    from nas.watching import attach_best

    if with_table:
        print_leaderboard(run, by=None, top=10)
    page = report(run)
    say(f"report   {page}")
    if run.best() is not None:
        folder = export_run(run)
        say(f"winner   {folder}")
        attach_best(run, folder)
