"""`nas diagnose`: how a network learns, and what its blocks compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.naming import baselines_named, changes, fitting, topology_named, trial_named
from nas.cli.printing import console, say
from nas.cli.root import AsJson, app
from nas.errors import NasError

if TYPE_CHECKING:
    from nas.space import SearchSpace
    from nas.topology import Topology


@app.command(rich_help_panel="Analyse")
def diagnose(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[RUN|RUN/TRIAL|NETWORK]", help="A run (its winner), a trial, a reference or a file."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="NETWORK", help="Another one beside it: a trial, a reference or a file.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="The task, for a reference or a file.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 3,
    recipe: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change the training recipe: epochs=100; may be repeated."),
    ] = None,
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
    from rich.console import Console

    from nas.analysis import diagnosis_page, diagnosis_table, diagnosis_words
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
    err = Console(stderr=True)
    with err.status(first) as status:
        found = [measure(name, one, space.task, space.recipe, seeds, status.update) for name, one in networks]
    page = write_whole(folder / "diagnosis.html", diagnosis_page(found, space.task.name))
    told = {"task": space.task.name, "networks": [one.to_dict() for one in found], "verdict": diagnosis_words(found)}
    write_whole(folder / "diagnosis.json", as_text(told))
    if json:
        typer.echo(as_text(told), nl=False)
    else:
        screen = console()
        screen.print(diagnosis_table(found))
        for sentence in diagnosis_words(found):
            screen.print(sentence, highlight=False)
    say(f"page     {page}")


def as_text(told: dict[str, Any]) -> str:
    """Return what is told as JSON; a number that is not finite is null."""
    from json import dumps

    from nas.study.writer import as_json

    return dumps(as_json(told), indent=1, ensure_ascii=False) + "\n"


def _found(what: str | None, task: str | None, train: dict[str, object]) -> tuple[str, Topology, SearchSpace, Path]:
    """Return the name and the topology of the network, the space that says how it is trained, and a folder."""
    from nas.space import SearchSpace
    from nas.space.around import space_around
    from nas.study import Run

    trial = None if what is None else trial_named(what)
    topology = None if what is None or trial is not None else topology_named(what)
    if topology is not None and what is not None:
        if task is None:
            raise NasError(f"{what} needs a task: --task digits, say")
        topology = fitting(what, task)
        name = Path(what).stem
        return name, topology, space_around(topology, task, train=train), Path(f"{name}-diagnosis")
    if task is not None:
        raise NasError(f"--task is for a reference or a file, not for {'a run' if what is None else repr(what)}")
    run, number = trial or ((run := Run.open(what)), run.winner)
    if number is None:
        raise NasError(f"run {run.name!r} has no trial that was trained to the end: there is nothing to diagnose")
    data = run.space.to_dict()
    space = SearchSpace.from_dict(data | {"train": data["train"] | train})
    return f"trial {number}", run.topology(number), space, run.path


def _beside(word: str, space: SearchSpace) -> Topology:
    """Return the network to compare with: a trial, a baseline of the space, a reference or a file."""
    if (trial := trial_named(word)) is not None:
        run, number = trial
        return run.topology(number)
    return next(iter(baselines_named([word], space, "--against").values()))
