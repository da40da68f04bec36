"""`nas diagnose`: how a network learns, and what its blocks compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.naming import baselines_named, changes, network_named, trial_named
from nas.cli.printing import console, doing, print_json, say
from nas.cli.root import AsJson, NetworkWord, Recipe, TaskOfNetwork, app
from nas.errors import NasError

if TYPE_CHECKING:
    from nas.space import SearchSpace
    from nas.topology import Topology


@app.command(rich_help_panel="Analyse")
def diagnose(
    what: NetworkWord = None,
    against: Annotated[
        str | None, typer.Option(metavar="NETWORK", help="Another one beside it: a trial, a reference or a file.")
    ] = None,
    task: TaskOfNetwork = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 3,
    recipe: Recipe = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of diagnosis.html and diagnosis.json.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show how a network learns, and what its blocks compute: gradients, loss surface, similarity, use of its features.

    Trains it from several seeds in this process and measures the first from inside. Writes diagnosis.html, one
    self-contained page, and diagnosis.json.

    Examples: [bold]nas diagnose[/bold], [bold]nas diagnose digits-1/12 --against resnet20[/bold], [bold]nas diagnose
    resnet56 --against plain56 --task digits[/bold]
    """
    from json import dumps

    from nas.analysis import diagnosis_dict, diagnosis_page, diagnosis_table, diagnosis_words
    from nas.diagnosis import diagnose as measure
    from nas.files import write_whole

    first, topology, space, folder = _found(what, task, changes(recipe or []))
    networks = [(first, topology)]
    if against is not None:
        networks.append((against if against != first else f"{against} (2)", _beside(against, space)))
    folder = output or folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NasError(f"--output {folder}: {error.strerror}") from None
    with doing(first) as tell:
        found = [measure(name, one, space.task, space.recipe, seeds, tell) for name, one in networks]
    page = write_whole(folder / "diagnosis.html", diagnosis_page(found, space.task.name))
    told = diagnosis_dict(found, space.task.name)
    write_whole(folder / "diagnosis.json", dumps(told, indent=2, ensure_ascii=False) + "\n")
    if json:
        print_json(told)
    else:
        screen = console()
        screen.print(diagnosis_table(found))
        for sentence in diagnosis_words(found):
            screen.print(sentence, highlight=False)
    say(f"page     {page}")


def _found(what: str | None, task: str | None, train: dict[str, object]) -> tuple[str, Topology, SearchSpace, Path]:
    """Return the name and the topology of the network, the space that says how it is trained, and a folder."""
    from nas.space import SearchSpace
    from nas.space.around import space_around

    name, topology, run = network_named(what, task)
    if run is None:
        assert topology is not None
        return name, topology, space_around(topology, str(task), train=train), Path(f"{name}-diagnosis")
    if topology is None:
        if run.winner is None:
            raise NasError(f"run {run.name!r} has no trial that was trained to the end: there is nothing to diagnose")
        name, topology = f"trial {run.winner}", run.topology(run.winner)
    data = run.space.to_dict()
    return name, topology, SearchSpace.from_dict(data | {"train": data["train"] | train}), run.path


def _beside(word: str, space: SearchSpace) -> Topology:
    """Return the network to compare with: a trial, a baseline of the space, a reference or a file."""
    if (trial := trial_named(word)) is not None:
        run, number = trial
        return run.topology(number)
    return next(iter(baselines_named([word], space, "--against").values()))
