"""The recipes of CONTRIBUTING.md do what they promise: each is followed, as printed, in a copy of the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

# a network of the new op, with the new kind of skip, is built, trained for a step, priced and exported
OP_AND_SKIP = """
import sys
import torch
import nas
from nas.topology.vocabulary import OPS

op, kind = sys.argv[1:]
blocks = [{"op": op, "width": 8, "skip": {"kind": kind}}] * 2
stem, head = {"op": "linear", "width": 8}, {"op": "classify"}
topology = nas.Topology.from_dict(
    {"version": 1, "input": [64], "stem": stem, "blocks": blocks, "head": head, "outputs": 2}
)
network = nas.build(topology)
network(torch.randn(4, 64)).sum().backward()
assert sum(p.numel() for p in network.parameters()) == nas.measure(topology).params
nas.export_code(topology, "network.py")
print(OPS[op].module in open("network.py").read())
"""

TASK = """
import sys
from nas import tasks

task = tasks.get(sys.argv[1])
train = task.load().train
assert train.inputs.shape[1:] == task.input
assert set(train.targets) == set(range(task.outputs))
"""


def example(heading: str) -> str:
    """Return the Python code of the section under this heading."""
    found = re.search(rf"^## {heading}\n.*?^```python\n(.*?)^```", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no example under '{heading}'"
    return found[1]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code to which every recipe has been applied."""
    folder = tmp_path_factory.mktemp("house")
    for name in ("nas", "search_spaces"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "nas/network/ops/added.py").write_text(example("Add an op"), encoding="utf-8")
    (folder / "nas/tasks/families/added.py").write_text(example("Add a task"), encoding="utf-8")
    command = example("Add a command")
    name = re.search(r"^def (\w+)\(", command, re.MULTILINE)
    assert name is not None
    (folder / f"nas/cli/commands/{name[1]}.py").write_text(command, encoding="utf-8")

    skips = folder / "nas/network/ops/skips.py"
    row, _, join = example("Add a kind of skip").partition("# and its class\n")
    table, end, rest = skips.read_text(encoding="utf-8").partition("\n}\n")  # JOINS is the first table of the file
    skips.write_text(f"{table}\n{row}{end}{rest}\n\n{join}", encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> str:
    """Run Python in the folder, whose copy of nas it imports; return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def first_word(heading: str) -> str:
    """Return the name of the row that the example adds."""
    rows = re.search(r'^(?:\w+ = \{\s*)?\s*"(\w+)": ', example(heading), re.MULTILINE)
    assert rows is not None
    return rows[1]


def test_the_op_and_the_skip_of_the_recipes_are_built_priced_and_exported(house: Path) -> None:
    words = first_word("Add an op"), first_word("Add a kind of skip")
    assert run(house, "-c", OP_AND_SKIP, *words) == "True\n"


def test_the_task_of_the_recipe_is_found_and_loaded(house: Path) -> None:
    run(house, "-c", TASK, first_word("Add a task"))


def test_the_command_of_the_recipe_does_what_its_example_says(house: Path) -> None:
    words = re.search(r"Example: \[bold\]nas (.*?)\[/bold\]", example("Add a command"))
    assert words is not None
    assert run(house, "-m", "nas", *words[1].split())
