"""The command line: parse, call, print. Heavy imports happen inside the commands; messages go to stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.errors import NasError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from nas.space import SearchSpace
    from nas.study import Run
    from nas.topology import Topology

app = typer.Typer(
    name="nas",
    help="Which blocks of a neural network should be bypassed, how, and from where?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run: its name or folder. Default: the latest.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV on stdout.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def main() -> None:
    """Run the command line; a mistake of the user is one line and exit code 2, never a traceback."""
    try:
        app()
    except NasError as error:
        _say(f"nas: {error}")
        sys.exit(2)
    except BrokenPipeError:  # `nas rank | head`
        sys.stderr.close()
        sys.exit(0)


@app.command()
def search(
    space: Annotated[
        str | None, typer.Argument(help="A search space: a YAML file, or the name of a shipped one.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Other data for the space: csv:PATH?target=COLUMN, imagefolder:PATH, FILE.py:FUNCTION, …"),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Look results up in this JSON file instead of training (see the README)."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the space and the time.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many candidates to finish, in all.")] = None,
    time: Annotated[str | None, typer.Option(help="Stop after this time: 90s, 30m, 2h, 1h30m.")] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Candidates trained at a time. Default: by the machine.")
    ] = None,
    gpus_per_trial: Annotated[
        str | None,
        typer.Option(
            metavar="auto|NUMBER",
            help="auto: the part of a GPU that the predicted memory of a candidate needs. Default: one for each.",
        ),
    ] = None,
    gpu_memory: Annotated[
        str | None,
        typer.Option(metavar="24GiB", help="What of each GPU is for this search, with --gpus-per-trial auto."),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="topology, tpe, gp, nsga2, qmc, random or exhaustive.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampler and of every candidate.")] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Try this first: a network.py, a topology file or a reference; repeat."),
    ] = None,
    reuse: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Do not train what this run of the same task and recipe finished; repeat."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Optuna storage. Default: study.db in the run.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to run on: auto, or HOST:PORT.")] = None,
) -> None:
    """Search a space: train candidates, keep every result, report and export the best.

    Writes runs/NAME/: run.yaml, study.db, weights/, report.html and best/ (network.py, weights.safetensors,
    card.md). Ctrl-C stops cleanly, with exit code 130; --resume goes on. A result that is reused does not count as one
    of the --trials.

    Examples: [bold]nas search digits --trials 20[/bold], [bold]nas search highway_tabular --task
    "csv:patients.csv?target=outcome"[/bold], [bold]nas search digits --baseline mine/network.py[/bold]
    """
    from nas.searching.driver import search as run_search
    from nas.space import SearchSpace
    from nas.study import Run

    if (space is None) == (resume is None):
        raise NasError("search takes a SPACE or --resume RUN, one of the two")
    for option, value in (("--task", task), ("--table", table)):
        if value is not None and space is None:
            raise NasError(f"{option} is for a new search: a run that is resumed keeps its task")
    loaded = SearchSpace.load(space, task, table) if space is not None else None
    for note in () if loaded is None else loaded.task.notes:
        _say(f"data     {note}")
    run = run_search(
        loaded,
        name=name,
        resume=resume,
        trials=trials,
        time=time,
        slots=slots,
        gpus_per_trial=gpus_per_trial,
        gpu_memory=gpu_memory,
        sampler=sampler,
        seed=seed,
        baselines=_baselines(baseline or [], loaded or Run.open(resume).space),
        reuse=reuse or (),
        storage=storage,
        address=address,
    )
    _finish(run)
    if run.interrupted:
        raise typer.Exit(130)


def _finish(run: Run) -> None:
    """The leaderboard, the report and the winner of a search that has ended."""
    from nas.analysis import report
    from nas.export import export_run

    _print_leaderboard(run, by=None, top=10)
    page = report(run)
    _say(f"report   {page}")
    if run.best() is not None:
        _say(f"winner   {export_run(run)}")


@app.command("list")
def list_runs(csv: AsCsv = False, json: AsJson = False) -> None:
    """What ran, and what it found.

    Example: [bold]nas list --json[/bold]
    """
    from nas.analysis.overview import runs_frame, runs_table
    from nas.study import Run

    frame = runs_frame(Run.list())
    if not _print_frame(frame, csv, json):
        _console().print(runs_table(frame))


@app.command()
def status(run: RunName = None, csv: AsCsv = False, json: AsJson = False) -> None:
    """How far a search is: its candidates by state, the best so far, and what is being trained.

    Example: [bold]nas status digits-20260105-093000[/bold]
    """
    from nas.analysis.overview import running_table, runs_frame, runs_table
    from nas.study import Run

    opened = Run.open(run)
    frame = runs_frame([opened])
    if not _print_frame(frame, csv, json):
        _console().print(runs_table(frame))
        _console().print(running_table(opened))
        _print_foresight(opened)


@app.command()
def rank(
    run: RunName = None,
    by: Annotated[str | None, typer.Option(help="The metric, a cost (params, memory …) or pareto.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows to show; baselines are always shown.")] = 20,
    csv: AsCsv = False,
    json: AsJson = False,
) -> None:
    """The leaderboard: every finished candidate, best first, beside the baselines; ◆ is on the Pareto front.

    Example: [bold]nas rank --by params --csv > leaderboard.csv[/bold]
    """
    from nas.study import Run

    _print_leaderboard(Run.open(run), by, top, csv, json)


@app.command()
def report(run: RunName = None) -> None:
    """Write runs/NAME/report.html, one page that needs no network, and print where it is.

    Example: [bold]nas report[/bold]
    """
    from nas.analysis import report as write_report
    from nas.study import Run

    typer.echo(write_report(Run.open(run)))


@app.command()
def dashboard(
    run: RunName = None,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    host: Annotated[
        str, typer.Option(help="Whom to serve: this machine only, unless you say otherwise.")
    ] = "localhost",
) -> None:
    """Serve the Optuna dashboard on a run's study, until Ctrl-C.

    Example: [bold]nas dashboard --port 8081[/bold]
    """
    from optuna_dashboard import run_server

    from nas.study import Run

    opened = Run.open(run)
    _say(f"dashboard of {opened.name} at http://{host}:{port}/ (Ctrl-C ends it)")
    try:
        run_server(opened.storage, host=host, port=port)
    except OSError as error:
        raise NasError(f"--port {port} cannot be served on {host}: {error.strerror}") from None


@app.command()
def export(
    what: Annotated[
        str | None,
        typer.Argument(help="A run, RUN/TRIAL, a reference (resnet18) or a topology file. Default: the latest run."),
    ] = None,
    trial: Annotated[int | None, typer.Option(min=0, help="This trial of the run instead of its best.")] = None,
    key: Annotated[str | None, typer.Option(help="The trial with this key, or with the one that begins so.")] = None,
    format: Annotated[
        list[str] | None, typer.Option(metavar="py,onnx,pt2", help="What to write beside network.py; repeat or list.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder, or network.py alone. Default: runs/NAME/best.")
    ] = None,
) -> None:
    """Write a network as PyTorch code that needs nothing of ours: network.py, weights.safetensors and card.md.

    What is written is loaded in a fresh interpreter and compared first: a file that differs is not left behind.
    network.onnx (pip install 'skipnas[onnx]') and network.pt2 (torch.export) read batches of any size.

    Examples: [bold]nas export[/bold], [bold]nas export resnet18 -o resnet18[/bold],
    [bold]nas export --key 3f9a --format onnx,pt2[/bold]
    """
    from nas.export import export_run, export_topology
    from nas.study import Run

    formats = [word.strip() for words in format or () for word in words.split(",")]
    network = None if what is None else _network(what)
    if network is not None:
        if trial is not None or key is not None:
            raise NasError(f"--trial and --key choose a trial of a run, but {what} is a network")
        typer.echo(export_topology(network, out or Path(Path(str(what)).stem), formats=formats))
        return
    run, number = _trial(what or "") or (Run.open(what), None)
    if [number, trial, key].count(None) < 2:
        raise NasError("RUN/TRIAL, --trial and --key all choose the trial: give one of them")
    number = run.number(key) if key is not None else trial if trial is not None else number
    typer.echo(export_run(run, number, out, formats=formats))


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="A space, a reference, RUN/TRIAL, or a topology file (.json, .py).")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the arc diagram as SVG here.")] = None,
    json: AsJson = False,
) -> None:
    """A space, or a network: what every block computes and costs, and its skips as arcs.

    Examples: [bold]nas show digits[/bold], [bold]nas show unet -o unet.svg[/bold], [bold]nas show RUN/12[/bold]
    """
    topology = _network(what)
    if topology is None and (named := _trial(what)):
        topology = named[0].topology(named[1])
    if topology is None:
        _show_space(what, json)
    else:
        _show_topology(what, topology, out, json)


# ------------------------------------------------------------------------------------------- what a word means


def _network(what: str) -> Topology | None:
    """The topology in a file or of a reference; None where `what` may be a space, a run or a trial."""
    from nas.space import available
    from nas.topology import references

    if Path(what).suffix in (".json", ".py"):
        from nas.export import read_topology

        return read_topology(what)
    return references.get(what) if references.known(what) and what not in available() else None


def _trial(what: str) -> tuple[Run, int] | None:
    """The run and the trial of RUN/12; None for another word."""
    from nas.study import Run

    name, _, number = what.rpartition("/")
    return (Run.open(name or None), int(number)) if number.isdecimal() else None


def _baselines(words: list[str], space: SearchSpace) -> dict[str, Topology]:
    """name → topology: of a file by its name, or by its folder's where it is called network.py as all are."""
    found: dict[str, Topology] = {}
    for word in words:
        name, topology = _baseline(word, space)
        if name in found:
            raise NasError(f"--baseline {word}: there is a baseline {name!r} already")
        found[name] = topology
    return found


def _baseline(word: str, space: SearchSpace) -> tuple[str, Topology]:
    from nas.export import read_topology

    path = Path(word)
    try:
        if path.suffix not in (".json", ".py"):
            return word, space.baseline(word)
        return (path.resolve().parent.name if path.name == "network.py" else path.stem), read_topology(path)
    except NasError as error:
        raise NasError(f"--baseline: {error}") from None


# ---------------------------------------------------------------------------------------------------- printing


def _show_topology(name: str, topology: Topology, out: Path | None, json: bool) -> None:
    from nas.analysis import arc_svg, arc_text, topology_table
    from nas.cost import itemised, measure

    if json:
        cost = measure(topology)
        typer.echo(_dumps(topology.to_dict() | {"key": topology.key, "params": cost.params, "flops": cost.flops}))
    if out is not None:
        from nas.files import write_whole

        write_whole(out, arc_svg(topology, name))
        _say(f"wrote {out}")
    elif not json:
        console = _console()
        console.print(topology_table(topology, itemised(topology), width=console.width))
        console.print(arc_text(topology, console.width))


def _show_space(what: str, json: bool) -> None:
    from nas.analysis import space_table
    from nas.space import SearchSpace

    space = SearchSpace.load(what)
    if json:
        typer.echo(_dumps(space.to_dict() | {"size": space.size()}))
    else:
        console = _console()
        console.print(space_table(space, width=console.width))


def _print_leaderboard(run: Run, by: str | None, top: int | None, csv: bool = False, json: bool = False) -> None:
    from nas.analysis import Goals, leaderboard, leaderboard_table

    goals = Goals.of(run)
    board = leaderboard(run, by=by, top=top)
    if not _print_frame(board, csv, json):
        console = _console()
        console.print(leaderboard_table(board, goals, width=console.width))
        _print_foresight(run)


def _print_foresight(run: Run) -> None:
    """What of an untrained candidate foretold its metric; nothing before there are enough."""
    from nas.analysis import Goals, foresight, foresight_line

    goals = Goals.of(run)
    table = foresight(run.frame(), goals)
    if not table.empty:
        _console().print(foresight_line(table, goals))


def _print_frame(frame: pd.DataFrame, csv: bool, json: bool) -> bool:
    """The frame on stdout as CSV or JSON; False where neither was asked for."""
    if csv:
        typer.echo(frame.to_csv(index=False), nl=False)
    elif json:
        typer.echo(frame.to_json(orient="records", indent=2, force_ascii=False, date_format="iso"))
    return csv or json


def _dumps(data: dict[str, Any]) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _say(message: str) -> None:
    """A message to the person; stdout is for data."""
    typer.echo(message, err=True)
