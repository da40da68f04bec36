"""The package as others install it: the bounds of its dependencies, and the files of its wheel."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIREMENTS = [
    *PROJECT["project"]["dependencies"],
    *(line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra),
    *(line for group in PROJECT["dependency-groups"].values() for line in group),
]


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_dependency_has_both_bounds(requirement: str) -> None:
    assert ">=" in requirement and ",<" in requirement, (
        f"{requirement}: say >= the lowest version that `make test-lowest` passes with, and < the next major version"
    )


def test_a_wheel_has_types_stubs_and_search_spaces(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nas").rglob("*") if path.suffix in (".py", ".pyi")}
    wanted |= {f"nas/search_spaces/{path.name}" for path in (ROOT / "search_spaces").glob("*.yaml")}
    assert wanted | {"nas/py.typed"} <= names
