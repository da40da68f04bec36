"""Define the Typer application `app`, to which every file of nas/cli/commands adds its command, and what they share."""

from __future__ import annotations

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
