"""Private parts of other libraries are used in modules called compat.py, and nowhere else.

Each compat.py has a test, tests/<wing>/test_compat.py, which names every use: it fails when an upgrade takes one away.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

NAS = Path(__file__).parent.parent / "nas"
FILES = sorted(NAS.rglob("*.py"))
LIBRARIES = {"torch", "ray", "optuna", "optuna_dashboard", "pandas", "plotly", "numpy", "scipy", "sklearn", "pydantic"}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> set[str]:
    """Every name that the file defines or assigns: functions, methods, classes, variables and attributes."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return names


def private_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every private attribute that is not the file's own, and of every private import."""
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
            yield node.lineno, ast.unparse(node)[:60]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES:
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(map(private, names)):
                yield node.lineno, f"from {node.module} import {', '.join(alias.name for alias in node.names)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                if any(map(private, alias.name.split("."))):
                    yield node.lineno, f"import {alias.name}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name != "compat.py"], ids=lambda path: str(path.relative_to(NAS))
)
def test_private_parts_of_libraries_are_used_in_compat_alone(path: Path) -> None:
    found = [
        f"{path.relative_to(NAS.parent)}:{line}: {name}" for line, name in private_uses(ast.parse(path.read_text()))
    ]
    assert not found, "find a public way, or put it into the compat.py of the wing with its test:\n" + "\n".join(found)


def test_every_compat_module_has_its_test() -> None:
    for path in (path for path in FILES if path.name == "compat.py"):
        test = NAS.parent / "tests" / path.parent.name / "test_compat.py"
        assert test.is_file(), (
            f"{path.relative_to(NAS.parent)} needs {test.relative_to(NAS.parent)}, which names each use"
        )
