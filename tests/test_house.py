"""The house is kept: packages hold no logic, files can be read in one sitting, and every public name is explained."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

NAS = Path(__file__).parent.parent / "nas"
PACKAGES = [NAS, *(path.parent for path in sorted(NAS.glob("*/__init__.py")))]
FILES = sorted(NAS.rglob("*.py"))
LONGEST = 350
RIDDLES = {"Who", "Whom", "Whose", "What", "Of", "Where", "Is", "Does", "How"}  # a sentence that needs reading twice
OVERRIDES = {  # methods that a library calls, and that it documents
    *("forward", "backward"),  # torch
    *("infer_relative_search_space", "sample_relative", "sample_independent", "before_trial", "after_trial"),  # optuna
    *("reseed_rng",),
    *("create_new_study", "delete_study"),  # optuna.storages.BaseStorage
    *("set_study_user_attr", "set_study_system_attr", "get_study_user_attrs", "get_study_system_attrs"),
    *("get_study_id_from_name", "get_study_name_from_id", "get_study_directions", "get_all_studies"),
    *("create_new_trial", "set_trial_param", "set_trial_state_values", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr", "get_trial", "get_best_trial", "get_all_trials"),
    *("get_trial_id_from_study_id_trial_number",),
    *("setup", "step", "reset_config", "cleanup", "save_checkpoint", "load_checkpoint"),  # ray.tune.Trainable
    *("suggest", "on_trial_complete", "on_trial_result", "on_trial_error", "on_trial_start", "stop_all"),  # ray.tune
    *("save", "restore", "set_search_properties", "choose_trial_to_run", "on_trial_add", "debug_string"),
}


def shown(path: Path) -> str:
    return str(path.relative_to(NAS.parent))


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=shown)
def test_a_package_holds_no_logic(path: Path) -> None:
    """It is a docstring, and the line that imports the names of its stub when they are first used."""
    first, *rest = ast.parse(path.read_text()).body
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant), f"{shown(path)} has no docstring"
    for node in rest:
        allowed = isinstance(node, ast.Import | ast.ImportFrom)
        if isinstance(node, ast.Assign):
            allowed = ast.unparse(node.value).startswith("lazy_loader.attach_stub(") or isinstance(
                ast.unparse(node.targets[0]) == "__version__" and node.value, ast.Constant
            )
        assert allowed, f"{shown(path)}:{node.lineno}: logic belongs into a module, not into the package"


@pytest.mark.parametrize("package", PACKAGES, ids=shown)
def test_no_file_has_the_name_of_what_its_package_exports(package: Path) -> None:
    """Python sets a submodule as an attribute of its package, where it would shadow the function of that name."""
    name = ".".join(package.relative_to(NAS.parent).parts)
    exported = importlib.import_module(name).__all__
    for word in exported:
        beside = package / word, package / f"{word}.py"
        is_module = re.search(rf"^from \. import {word}\b", (package / "__init__.pyi").read_text(), re.MULTILINE)
        assert is_module or not any(path.exists() for path in beside), (
            f"{name} exports {word}, so that no file there may be called so: the module would shadow it"
        )


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{shown(path)} has {lines} lines: divide it by its ideas (at most {LONGEST})"


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Every public function, class and method of a module; what is defined inside a function is not public."""
    nodes: list[ast.stmt] = list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            nodes += node.body if isinstance(node, ast.ClassDef) else []


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_every_public_name_is_explained_in_a_sentence(path: Path) -> None:
    """The docstring of a torch module may begin with its formula, and its `forward` says nothing more."""
    complaints = []
    for node in public(ast.parse(path.read_text())):
        first = (ast.get_docstring(node) or "").partition("\n\n")[0]
        formula = path.parent.name == "ops"
        if not first:
            wrong = "" if (formula and node.name == "forward") or node.name in OVERRIDES else "has no docstring"
        elif first.split()[0] in RIDDLES:
            wrong = f"begins with {first.split()[0]!r}: say what it returns or does, in a sentence with a verb"
        elif not formula and not re.match(r"[A-Z0-9`(/¬−]", first):
            wrong = "does not begin as a sentence does"
        else:
            wrong = "" if re.search(r"[.:)]$", first) else "does not end as a sentence does"
        if wrong:
            complaints.append(f"{shown(path)}:{node.lineno}: {node.name} {wrong}")
    assert not complaints, "\n".join(complaints)
