"""`nas confirm`: train the leaders of a run again with new seeds, and test them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from nas.cli.naming import changes
from nas.cli.printing import console, print_frame, print_json, say
from nas.cli.root import AsCsv, AsJson, Cluster, Recipe, RunName, ShareOfGpu, Slots, TimeLimit, app
from nas.cli.signals import stopped
from nas.errors import NasError

if TYPE_CHECKING:
    from nas.analysis.confirmed import Confirmed
    from nas.study import Run


@app.command(rich_help_panel="Analyse")
def confirm(
    run: RunName = None,
    top: Annotated[int, typer.Option(min=1, help="Leaders to confirm; baselines come besides.")] = 5,
    by: Annotated[
        str | None,
        typer.Option(help="Choose the leaders by the metric, by a cost (params, memory …), by pareto or by knee."),
    ] = None,
    trial: Annotated[
        list[int] | None, typer.Option(min=0, help="Confirm this trial instead of the leaders; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 5,
    recipe: Recipe = None,
    train_on: Annotated[str, typer.Option(metavar="SPLITS", help="train, or train+validation.")] = "train",
    time: TimeLimit = None,
    slots: Slots = None,
    gpus_per_trial: ShareOfGpu = None,
    address: Cluster = None,
    csv: AsCsv = False,
    json: AsJson = False,
) -> None:
    """Train the leaders and the baselines again with new seeds, the same for all, and compare them on the test split.

    Says which network to choose, how far it is ahead of the best baseline, and how sure that is. Writes confirm.json,
    and best/ is then the confirmed network. A training that has ended is not done again: the same command goes on after
    Ctrl-C, and more seeds are added to those there are.

    Examples: [bold]nas confirm --top 5 --seeds 5[/bold], [bold]nas confirm digits-1 --recipe epochs=30 --seeds 3[/bold]
    """
    from nas.searching.confirmation import confirm as run_confirm
    from nas.study import Run

    if train_on not in ("train", "train+validation"):
        raise NasError(f"--train-on must be train or train+validation, but got {train_on!r}")
    opened = Run.open(run)
    found = run_confirm(
        opened,
        top=top,
        by=by,
        trials=trial or (),
        seeds=seeds,
        recipe=changes(recipe or []),
        train_on=cast(Literal["train", "train+validation"], train_on),
        time=time,
        slots=slots,
        gpus_per_trial=gpus_per_trial,
        address=address,
    )
    if found is not None:
        _tell(opened, found, csv, json)
    if found is None or not found.complete:
        say("the same command goes on from here")
        raise stopped(opened)


def _tell(run: Run, found: Confirmed, csv: bool, json: bool) -> None:
    """Print what was found, write the report and export the confirmed network."""
    from nas.analysis import confirmed_frame, confirmed_table, report
    from nas.export import export_run
    from nas.watching import attach_best

    if json:
        print_json({"run": run.name, **found.to_dict()})
    elif not print_frame(confirmed_frame(found), csv, json=False):
        screen = console()
        screen.print(confirmed_table(found))
        for sentence in found.verdict():
            screen.print(sentence, highlight=False)
    say(f"report   {report(run)}")
    folder = export_run(run)
    say(f"best     {folder}")
    attach_best(run, folder)
