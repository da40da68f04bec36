"""`nas ablate`: which skips of a network are needed?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.naming import NamedNetwork, changes, network_named
from nas.cli.printing import console, print_frame, print_json, say
from nas.cli.root import AsCsv, AsJson, Cluster, NetworkWord, Recipe, ShareOfGpu, Slots, TaskOfNetwork, TimeLimit, app
from nas.cli.signals import stopped
from nas.errors import NasError
from nas.files import is_file

if TYPE_CHECKING:
    from nas.analysis.ablated import Ablated
    from nas.study import Run


ABLATIONS = Path("ablations")


@app.command(rich_help_panel="Analyse")
def ablate(
    what: NetworkWord = None,
    task: TaskOfNetwork = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 5,
    replace: Annotated[bool, typer.Option(help="Replace skips by other kinds, too.")] = True,
    recipe: Recipe = None,
    enqueue: Annotated[
        bool, typer.Option("--enqueue", help="Let the search train the simplified network next.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the run, for a reference or a file.")] = None,
    time: TimeLimit = None,
    slots: Slots = None,
    gpus_per_trial: ShareOfGpu = None,
    address: Cluster = None,
    csv: AsCsv = False,
    json: AsJson = False,
) -> None:
    """Say which skips of a network are needed: train it without each of them, and with other kinds in their place.

    Every change is trained from scratch with the same seeds as the whole network, and made in the trained network too,
    where its weights fit. Proposes the network without what does nothing. Writes ablate.json into the folder of the
    run; that of a reference or a file is ablations/NAME. A training that has ended is not done again: the same command
    goes on after Ctrl-C.

    Examples: [bold]nas ablate[/bold], [bold]nas ablate digits-1/12 --seeds 5 --no-replace[/bold], [bold]nas ablate
    resnet20 --task digits[/bold]
    """
    from nas.searching.ablation import ablate as run_ablation
    from nas.searching.slots import ResourceRequest

    wanted = changes(recipe or [])
    if csv and json:
        raise NasError("--csv and --json: choose one of the two")
    ResourceRequest(slots, gpus_per_trial)
    network = network_named(what, task)
    if name is not None and network.run is not None:
        raise NasError("--name is for a reference or a file: a run has its own")
    run = network.run or _run_of(network, str(task), name, wanted, time)
    found = run_ablation(
        run,
        network.topology,
        name=network.name,
        replace=replace,
        seeds=seeds,
        recipe=wanted,
        time=time,
        slots=slots,
        gpus_per_trial=gpus_per_trial,
        address=address,
    )
    if found is not None:
        _tell(run, found, csv, json, enqueue)
    if found is None or not found.complete:
        say("the same command goes on from here")
        raise stopped(run)


def _run_of(network: NamedNetwork, task: str, name: str | None, recipe: Mapping[str, object], time: str | None) -> Run:
    """Return the run in which a network without a search is ablated: a new one, or that of the same call before.

    It stands in the folder ABLATIONS, because it is no search.
    """
    from nas.errors import RunError
    from nas.searching.retraining import retraining_space
    from nas.space.around import space_around
    from nas.study import Run
    from nas.study.quiet import quiet_libraries

    assert network.topology is not None
    space = space_around(network.topology, task)
    retraining_space(space, recipe, time)  # a mistake leaves no run behind
    if not space.skip_changes(network.topology):
        raise RunError(f"{network.name} has no skip that could be removed or replaced")
    name = name or f"{network.name}-on-{space.task.name}"
    if not is_file(ABLATIONS / name / "run.yaml"):
        with quiet_libraries():
            return Run.create(space, name, ABLATIONS)
    run = Run.open(name, ABLATIONS)
    if run.space.to_dict() != space.to_dict():
        raise RunError(f"run {name!r} is of another network or task: give another --name")
    return run


def _tell(run: Run, found: Ablated, csv: bool, json: bool, enqueue: bool) -> None:
    """Print what was found, propose the simplified network, and write the report."""
    from nas.analysis import ablated_frame, ablated_table, report
    from nas.cost import predict
    from nas.searching.ablation import enqueue as enqueue_topology
    from nas.topology import Topology
    from nas.units import count, memory

    if json:
        print_json({"run": run.name, **found.to_dict()})
    elif not print_frame(ablated_frame(found), csv, json=False):
        screen = console()
        screen.print(ablated_table(found, screen.width))
        for sentence in found.verdict():
            screen.print(sentence, highlight=False)
    say(f"report   {report(run)}")
    if found.simplified is not None:
        smaller = Topology.from_dict(found.simplified.variant.topology)
        cost = predict(smaller, found.plan.recipe)
        say(f"without what does nothing: {smaller.describe()}")
        say(f"         {count(cost['params'])} params, {memory(cost['memory'])} in training")
        if enqueue:
            enqueue_topology(run, smaller)
            say(f"nas search --resume {run.path} trains it next")
