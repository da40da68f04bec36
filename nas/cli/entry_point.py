"""The entry point of `nas`: find the commands, then run the application."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Callable
from typing import Any

from nas.cli import commands
from nas.cli.printing import say
from nas.cli.root import PANELS, app
from nas.cli.signals import end, exit_on_signals
from nas.errors import DamagedRecord, NasError, message_of

LONGEST = 1000  # characters of a message

__all__ = ["add_commands", "app", "main"]


def add_commands() -> None:
    """Import every file of nas/cli/commands, which adds its command to `app`; sort them by panel and name."""
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    order = {panel: place for place, panel in enumerate(PANELS)}
    app.registered_commands.sort(key=lambda command: order.get(str(command.rich_help_panel), len(order)))
    for command in app.registered_commands:
        command.help = _flowing(inspect.getdoc(command.callback) or "")


def _flowing(text: str) -> str:
    """Return the text with every paragraph in one line, which Typer then breaks at the width of the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def main() -> None:
    """Run the command line. A mistake of the user is printed as one line, with exit code 2, never as a traceback."""
    warnings.showwarning = _warning_in_one_line(warnings.showwarning)
    exit_on_signals()
    try:
        app()
    except NasError as error:
        say(f"nas: {message_of(error, LONGEST)}")
        end(2)
    except BrokenPipeError:  # `nas rank | head`
        sys.stderr.close()
        end(0)
    except SystemExit as ended:
        end(ended.code)


def _warning_in_one_line(show: Callable[..., None]) -> Callable[..., None]:
    """Return what shows a warning: one that a part of a record is damaged as one line, once, and others as before."""
    said: set[str] = set()

    def show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, DamagedRecord):
            show(message, category, *place, **more)
        elif str(message) not in said:
            said.add(str(message))
            say(f"nas: {message}")

    return show_warning


add_commands()
