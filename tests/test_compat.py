"""Private parts of other libraries are used in modules called compat.py, and nowhere else in the package.

A library may change them in any release. Each compat.py has a test, tests/<wing>/test_compat.py, that names and
exercises every such use, so that an upgrade that breaks one fails there, with a clear message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

NAS = Path(__file__).parent.parent / "nas"
FILES = sorted(NAS.rglob("*.py"))
PUBLIC = ("os._exit",)  # documented, in spite of its name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def is_own_object(node: ast.expr) -> bool:
    """Return whether the expression is `self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def own_names(tree: ast.Module) -> set[str]:
    """Return the names of all functions, methods and classes of a file, its fields, and what it stores on `self`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own_object(node.value):
            names.add(node.attr)
    return names


def private_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of every use of a private attribute or module that the file does not define itself."""
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in own and not is_own_object(node.value) and ast.unparse(node) not in PUBLIC:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            if any(map(is_private, [*(node.module or "").split("."), *(alias.name for alias in node.names)])):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Import):
            if any(is_private(part) for alias in node.names for part in alias.name.split(".")):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and is_private(str(name.value)) and name.value not in own:
                yield node.lineno, ast.unparse(node)


def shown(path: Path) -> str:
    return str(path.relative_to(NAS.parent))


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "compat.py"], ids=shown)
def test_private_parts_of_libraries_are_used_in_compat_alone(path: Path) -> None:
    found = [f"{shown(path)}:{line}: {text}" for line, text in private_uses(ast.parse(path.read_text()))]
    advice = "find a public way, or move the use into the compat.py of the wing and its test:"
    assert not found, "\n".join([advice, *found])


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "compat.py"], ids=shown)
def test_every_compat_module_has_a_test(path: Path) -> None:
    """Every public function of the module is exercised there."""
    test = NAS.parent / "tests" / path.parent.relative_to(NAS) / "test_compat.py"
    assert test.is_file(), f"{shown(path)} needs {test.relative_to(NAS.parent)}, which names and exercises each use"
    text = test.read_text()
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    missing = [name for name in functions if not name.startswith("_") and name not in text]
    assert not missing, f"{test.relative_to(NAS.parent)} does not exercise {', '.join(missing)}"


@pytest.mark.parametrize(
    "source",
    [
        "study._storage",
        "trial._x = 1",
        "self.study._storage",
        "from torch._dynamo import config",
        "from torch import _C",
        "import torch._C",
        "getattr(torch, '_C')",
    ],
)
def test_a_private_use_is_found(source: str) -> None:
    assert [*private_uses(ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        "self._x",
        "super()._x()",
        "class A:\n    def __init__(self, other):\n        self._x = other._x",
        "class A:\n    _x: int = 0\n\nA()._x",
        "from __future__ import annotations",
        "a.__dict__",
    ],
)
def test_own_private_names_are_allowed(source: str) -> None:
    assert not [*private_uses(ast.parse(source))]
