"""What a person may use is documented, and what is documented exists."""

import ast
import re
from pathlib import Path

import pytest
import typer.main

import nas
from docs import picture
from nas.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"])
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


def test_the_picture_of_the_house_is_what_its_command_draws() -> None:
    assert picture.TARGET.read_text(encoding="utf-8") == picture.draw(), "the imports have changed: run make picture"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link}
    named = set(re.findall(r"`((?:nas|tests|docs|benchmarks|search_spaces|\.ci)/[\w./-]*)`", text))
    missing = {link for link in links if not (page.parent / link).exists()}
    missing |= {name for name in named if not (ROOT / name).exists()}
    assert not missing, f"{page.name} names what is not there: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_a_page_links_is_defined_in_the_file(page: Path) -> None:
    for name, link in re.findall(r"\[`([\w.]+)`\]\(([^)#\s]+\.py)\)", page.read_text(encoding="utf-8")):
        assert name in definitions(page.parent / link), f"{page.name}: {name} is not defined in {link}"


def definitions(path: Path) -> set[str]:
    """Return the functions, classes, methods (as Class.method) and top-level variables of a file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found |= {node.name, *(f"{node.name}.{getattr(part, 'name', '')}" for part in node.body)}
        if isinstance(node, ast.Assign | ast.AnnAssign):
            found |= set(re.findall(r"\w+", ast.unparse(node).partition("=")[0].partition(":")[0]))
    return found
