"""The commands are found in their folder, `nas --help` groups them, and both entry points run them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from typer.models import CommandInfo

import nas.cli
from nas.cli.root import PANELS
from tests.helpers.command_line import Nas

FOLDER = Path(nas.cli.__file__).parent / "commands"
FILES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def registered() -> dict[str, list[tuple[str, CommandInfo]]]:
    """The name and the description of each command that a file of the folder registers."""
    found = defaultdict(list)
    for command in nas.cli.app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        found[command.callback.__module__.rpartition(".")[2]].append((name, command))
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_file_registers_one_command_of_its_own_name(file: str) -> None:
    names, name = [name for name, _ in registered()[file]], file.replace("_", "-")
    assert names == [name], (
        f"nas/cli/commands/{file}.py registers the commands {names}: decorate one function with "
        f'@app.command("{name}", rich_help_panel=…), with app of nas.cli.root, and give another command its own file'
    )


@pytest.mark.parametrize("file", FILES)
def test_every_command_stands_in_a_panel_of_the_help(file: str) -> None:
    for _, command in registered()[file]:
        assert command.rich_help_panel in PANELS, (
            f"nas/cli/commands/{file}.py: write @app.command(rich_help_panel=…) with one of {', '.join(PANELS)}, "
            "or add a panel to PANELS in nas/cli/root.py, at its place in `nas --help`"
        )


@pytest.mark.parametrize("columns", [80, 120])
def test_help_shows_every_command_in_the_order_of_the_panels(nas: Nas, columns: int) -> None:
    done = nas("--help", columns=columns)
    assert done.code == 0
    places = [done.out.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    shown = [line.split()[1] for line in done.out.splitlines() if line.startswith("│ ") and line[2] != " "]
    assert sorted(set(shown) - {"--help"}) == FILES
    assert max(map(len, done.out.splitlines())) == columns


def test_nas_alone_shows_the_help_and_says_that_a_command_is_missing(nas: Nas) -> None:
    done = nas()
    assert done.code == 2
    assert done.out.rstrip() == nas("--help").out.rstrip()


def test_an_unknown_command_is_a_mistake(nas: Nas) -> None:
    done = nas("serach")
    assert done.code == 2
    assert "No such command 'serach'" in done.err


def test_python_m_nas_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "nas", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in FILES)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_and_closes_what_it_has_opened(number: signal.Signals) -> None:
    program = f"""
import signal, sys
from nas.cli import entry_point
def work():
    try:
        signal.raise_signal({int(number)})
    finally:
        print("closed")
entry_point.app = work
entry_point.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + number, "closed\n")
    assert done.stderr == f"nas: ended by {number.name}\n"
