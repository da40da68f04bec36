"""Copy the source of the classes of nas.network.ops, so that the search and the exported file run the same code."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

from nas.export.code_style import split_line

OPS = Path(__file__).parents[1] / "network" / "ops"
IMPORTS = {  # name → the line that brings it, in the order of an import section
    "torch": "import torch",
    "Tensor": "from torch import Tensor",
    "nn": "from torch import nn",
    "F": "from torch.nn import functional as F",
}


def collect_class_sources(names: Iterable[str]) -> list[str]:
    """Return the source of every named class, each after the classes that it uses, in lines of the exported file."""
    known, lifted = _definitions(), dict[str, str]()

    def visit(name: str) -> None:
        if name in lifted:
            return
        for used in sorted(_names(ast.parse(known[name])) & known.keys() - {name}):
            visit(used)
        lifted[name] = "\n".join(line for long in _lines(known[name]) for line in long)

    for name in names:
        visit(name)
    return list(lifted.values())


def import_lines(source: str) -> str:
    """Return the import lines that the source needs; all of them import from torch."""
    used = _names(ast.parse(source))
    lines = [line for name, line in IMPORTS.items() if name in used]
    return "\n".join(lines).replace("import Tensor\nfrom torch import nn", "import Tensor, nn")


@functools.cache
def _definitions() -> dict[str, str]:
    """Return name → source of every class of nas.network.ops."""
    found = {}
    for path in sorted(OPS.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
    return found


def _lines(source: str) -> list[list[str]]:
    """Return the lines that every line of the source is split into; a docstring keeps its lines."""
    as_it_is = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            docstring = node.body[0]
            as_it_is.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return [[line] if number in as_it_is else split_line(line) for number, line in enumerate(source.splitlines(), 1)]


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
