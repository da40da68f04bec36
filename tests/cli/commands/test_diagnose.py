"""`nas diagnose`: how a network learns, and what its blocks compute."""

import json
from pathlib import Path

import pytest

from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from tests.helpers.command_line import Nas, check_mistake


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks of two blocks, in files."""
    for name, skip in (("residual", Skip("add")), ("plain", None)):
        blocks = (Block("basic", 4, skips=skip), Block("basic", 4, skips=skip))
        made = Topology((1, 8, 8), Stem("conv3x3", 4), blocks, Head("classify"), 10)
        (tmp_path / f"{name}.json").write_text(json.dumps(made.to_dict()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_networks_beside_each_other(files: Path, nas: Nas) -> None:
    words = ("diagnose", "residual.json", "--against", "plain.json", "--task", "digits", "--seeds", "1")
    done = nas(*words, "--recipe", "epochs=1", columns=80)
    assert done.code == 0, done.err
    assert "gradient of the first block" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80
    folder = files / "residual-diagnosis"
    told = json.loads((folder / "diagnosis.json").read_text())
    assert [one["name"] for one in told["networks"]] == ["residual", "plain.json"]
    assert "plain.json</h1>" in (folder / "diagnosis.html").read_text()


def test_the_same_network_twice_and_a_folder_that_is_a_file(files: Path, nas: Nas) -> None:
    known = ("diagnose", "residual.json", "--task", "digits", "--seeds", "1", "--recipe", "epochs=1")
    done = nas(*known, "--against", "residual", "--json")
    assert done.code == 2  # no such reference
    (files / "taken").write_text("")
    check_mistake(nas(*known, "-o", "taken"), "--output taken: File exists")


def test_json_on_stdout_and_another_folder(files: Path, nas: Nas) -> None:
    done = nas(
        "diagnose", "residual.json", "--task", "digits", "--seeds", "1", "--recipe", "epochs=1", "--json", "-o", "out"
    )
    assert json.loads(done.out) == json.loads((files / "out/diagnosis.json").read_text())


def test_mistakes_are_one_line(nas: Nas) -> None:
    check_mistake(nas("diagnose", "residual.json"), "residual.json needs a task: --task digits, say")
    check_mistake(nas("diagnose", "other"), "there is no run 'other'")
    known = ("diagnose", "residual.json", "--task", "digits")
    check_mistake(nas(*known, "--recipe", "epoch=1"), "epoch")
    check_mistake(nas(*known, "--against", "resnet5"), "--against: depth of resnet")


def test_help_has_an_example(nas: Nas) -> None:
    assert "--against plain56 --task digits" in " ".join(nas("diagnose", "--help").out.split())
