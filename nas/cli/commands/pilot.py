"""`nas pilot`: is there anything to find in a space?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.printing import console, print_json, say
from nas.cli.root import AsJson, app
from nas.cli.signals import stopped

if TYPE_CHECKING:
    from nas.study import Run


@app.command(rich_help_panel="Search")
def pilot(
    what: Annotated[
        str, typer.Argument(metavar="SPACE|RUN", help="A YAML file, a shipped space, or a run to look at as it is.")
    ],
    topologies: Annotated[int, typer.Option(min=3, help="Topologies, drawn uniformly within the limits.")] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each, and of each baseline.")] = 2,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of the search that is foretold. Default: the space's.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Another task than the one in the file.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Candidates at a time.")] = None,
    json: AsJson = False,
) -> None:
    """Say before a search whether there is anything to find: noise against differences, the gain to expect, the hours.

    Trains a few topologies from several seeds, the same for all, and the baselines. They are the first trials of the
    search that follows: nas search --resume RUN.

    Examples: [bold]nas pilot digits[/bold], [bold]nas pilot my.yaml --topologies 12 --seeds 3 --trials 500[/bold]
    """
    from nas.analysis import pilot_of, pilot_table

    run = _piloted(what, task, topologies, seeds, trials, name, slots)
    found = pilot_of(run, trials)
    if json:
        print_json({"run": run.name, **found.to_dict()})
        return
    console().print(pilot_table(found))
    for sentence in found.verdict():
        console().print(sentence)
    say(f"nas search --resume {run.name} goes on from here")


def _piloted(
    what: str, task: str | None, topologies: int, seeds: int, trials: int | None, name: str | None, slots: int | None
) -> Run:
    """Return the run of this name, or a new one with the pilot of a space."""
    from nas.searching.driver import search
    from nas.space import SearchSpace, available
    from nas.study import Run

    if Path(what).suffix not in (".yaml", ".yml") and what not in available():
        return Run.open(what)
    data = SearchSpace.load(what, task).to_dict()
    wanted = {"pilot": {"topologies": topologies, "seeds": seeds}} | ({"trials": trials} if trials else {})
    space = SearchSpace.from_dict(data | {"search": data["search"] | wanted}, what)
    run = search(space, name=name, slots=slots, only_pilot=True)
    if run.interrupted:
        raise stopped(run)
    return run
