"""The command line `nas`: `app` is the Typer application with all commands, `main` runs it."""

from nas.cli.entry_point import app, main

__all__ = ["app", "main"]
