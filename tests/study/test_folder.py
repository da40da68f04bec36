"""The folder of a run: its name, run.yaml, and its lock."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from nas.errors import RunError
from nas.space import document
from nas.study import Run
from nas.study import attributes as names
from tests.helpers.runs import SPACE


def test_a_new_run_holds_its_space_and_where_it_came_from(run: Run, tmp_path: Path) -> None:
    config = yaml.safe_load((run.path / "run.yaml").read_text())
    assert config["name"] == "first"
    assert config["space"] == SPACE.to_dict()
    assert config["storage"] is None
    assert config["versions"]["optuna"] == optuna.__version__
    assert set(config["versions"]) == {"python", "skipnas", "torch", "ray", "optuna"}
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(names.__file__).parent, capture_output=True, text=True)
    if head.returncode == 0:
        assert config["commit"].removesuffix("-dirty") == head.stdout.strip()
    assert run.weights_folder.is_dir()
    again = Run.open("first", tmp_path)
    assert again.space.to_dict() == SPACE.to_dict()
    assert (again.space.task.input, again.space.task.outputs) == (SPACE.task.input, SPACE.task.outputs)
    assert config["task"]["input"] == list(SPACE.task.input)
    assert [d.name.lower() for d in again.study.directions] == ["maximize", "minimize"]


def test_a_name_is_taken_once(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run 'first' exists already .*--resume first"):
        Run.create(SPACE, "first", tmp_path)
    assert Run.open("first", tmp_path).study.trials == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x", "a b", "a\nb", "ä", "x" * 200, "..", "a\0b"])
def test_a_name_is_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="letters, digits"):
        Run.create(SPACE, name, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_default_names_are_readable_and_unique(tmp_path: Path) -> None:
    made = [Run.create(SPACE, None, tmp_path).name for _ in range(3)]
    assert len(set(made)) == 3
    assert all(name.startswith("digits-20") for name in made)


@pytest.mark.parametrize("content", ["{", "[]", "space: 3", "\x00", "a: !!python/object:os.system {}"])
def test_a_damaged_run_is_one_line(run: Run, tmp_path: Path, content: str) -> None:
    (run.path / "run.yaml").write_text(content)
    broken = Run.open("first", tmp_path)
    with pytest.raises(RunError) as error:
        _ = broken.space
    assert "\n" not in str(error.value)
    assert "run.yaml" in str(error.value)
    assert len(Run.list(tmp_path)) == 1


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LAUGHS, "run.yaml:1: must hold at most 100000 values when its aliases are resolved"),
        ("[" * 500_000, "run.yaml:1: must be at most 30 levels deep"),
        ("x" * 2**21, "run.yaml: run.yaml has at most 1024 KiB, but the file is larger"),
        ("name: a\nname: b", "run.yaml:2: the key 'name' is given twice, first in line 1"),
        ("name: [", "is not YAML: while parsing a flow"),
    ],
    ids=["aliases", "depth", "size", "twice", "syntax"],
)
def test_run_yaml_is_bounded_before_anything_is_built_from_it(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(RunError) as error:
        _ = Run(tmp_path).config
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_words_that_look_like_numbers_stay_words(tmp_path: Path) -> None:
    """PyYAML writes `1e3` and `089` without quotes, because in YAML 1.1 they are words."""
    for name in ("1e3", "089", "no", "1_000", "0x1F"):
        assert Run.create(SPACE, name, tmp_path).study.study_name == name
        assert Run.open(name, tmp_path).study_name == name


def test_a_space_that_is_too_large_to_be_read_again_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.space.document.RUN", dataclasses.replace(document.RUN, bytes=100))
    with pytest.raises(RunError, match="too large to be recorded"):
        Run.create(SPACE, "large", tmp_path)
    assert not (tmp_path / "large").exists()


def test_one_process_searches_a_run_at_a_time(run: Run) -> None:
    program = (
        "import sys; from pathlib import Path; from nas.study import Run\n"
        "with Run(Path(sys.argv[1])).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match=rf"being searched by another process \(pid {other.pid}\)"), run.lock():
            pass
        other.kill()
    with run.lock():
        assert (run.path / ".lock").read_text() == str(os.getpid())
