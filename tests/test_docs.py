"""What a person may use is documented, and what is documented exists."""

import re
from pathlib import Path

import pytest
import typer.main

import nas
from nas.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(nas.__all__))
def test_public_names_exist_and_are_documented(name: str) -> None:
    assert (getattr(nas, name).__doc__ or "").strip()
    assert name in dir(nas)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No nas attribute serach"):
        nas.serach  # noqa: B018


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_has_an_example(command: str) -> None:
    assert re.search(rf"^\|.*`nas {command}[ `]", README, re.MULTILINE), (
        f"the command {command} is not in the README: add a row `nas {command} …` to the table under 'Commands'"
    )
    help = typer.main.get_command(app).commands[command].help or ""  # type: ignore[attr-defined]
    assert re.search(rf"Examples?: .*\[bold\]nas {command}\b", help, re.DOTALL), (
        f"`nas {command} --help` has no example: end the docstring of the command in nas/cli/commands with "
        f"'Example: [bold]nas {command} …[/bold]'"
    )


def test_the_readme_names_no_command_that_is_not_there() -> None:
    named = set(re.findall(r"`nas ([a-z]+)", README))
    assert named <= set(COMMANDS)


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"and"}
    assert named <= targets


def test_the_readmes_space_is_valid(tmp_path: Path) -> None:
    from nas.space import SearchSpace

    text, *tasks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "readme.yaml"
    for task in ("task: digits\n", *tasks):
        path.write_text(text.replace("task: digits\n", task))
        assert SearchSpace.load(str(path)).size() > 10**6
