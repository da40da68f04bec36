"""Define the Typer application `app`, to which every file of nas/cli/commands adds its command, and what they share."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

app = typer.Typer(
    name="nas",
    help="Which blocks of a neural network should be bypassed, how, and from where?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# the groups of commands in `nas --help`, in this order; a command names its own: @app.command(rich_help_panel="Watch")
PANELS = ("Search", "Watch", "Analyse", "Take away")

RunName = Annotated[str | None, typer.Argument(metavar="RUN", help="A run: its name or folder. Default: the latest.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV on stdout.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

# of the commands that train
TimeLimit = Annotated[str | None, typer.Option(help="Stop after this time: 90s, 30m, 2h, 1h30m.")]
Slots = Annotated[int | None, typer.Option(min=1, help="Trainings at a time. Default: as many as fit the machine.")]
ShareOfGpu = Annotated[
    str | None,
    typer.Option(
        metavar="auto|NUMBER",
        help="auto: give a training the part of a GPU that its predicted memory needs. Default: one GPU each.",
    ),
]
Cluster = Annotated[str | None, typer.Option(help="A Ray cluster that this machine is a node of: auto, or HOST:PORT.")]
JobApi = Annotated[
    str,
    typer.Option(metavar="URL", envvar="NAS_ADDRESS", help="The job API of a Ray cluster: http://HEAD:8265."),
]

# of the commands that train a given network again
Recipe = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Change the training recipe: epochs=100; may be repeated."),
]
NetworkWord = Annotated[
    str | None,
    typer.Argument(metavar="[RUN|RUN/TRIAL|NETWORK]", help="A run (its winner), a trial, a reference or a file."),
]
TaskOfNetwork = Annotated[str | None, typer.Option(help="The task, for a reference or a file.")]


def collect_garbage_seldom() -> None:
    """Search seldom for unused cycles: a command that only reads keeps nearly all that it makes, up to its end.

    Among the million objects of a record of 10,000 trials, the searches take a third of the time.
    """
    gc.set_threshold(1_000_000)
