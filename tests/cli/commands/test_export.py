"""`nas export`: the winner, a trial, a reference or a file as code."""

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import Nas, check_mistake


def test_a_reference_and_a_trial(folder: Path, nas: Nas, tmp_path: Path) -> None:
    assert nas("export", "resnet20", "-o", str(tmp_path / "resnet20")).code == 0
    assert (tmp_path / "resnet20" / "network.py").is_file()
    assert nas("export", "--trial", "1", "-o", str(tmp_path / "one")).code == 0
    assert (tmp_path / "one" / "network.py").is_file()


def test_the_help_says_how_to_install_onnx(nas: Nas) -> None:
    assert "pip install 'skipnas[onnx]'" in " ".join(nas("export", "--help").out.split())


def test_export_by_key(folder: Path, nas: Nas, tmp_path: Path) -> None:
    key = json.loads(nas("show", "first/1", "--json").out)["key"]
    assert nas("export", "first", "--key", key[:8], "-o", str(tmp_path / "net.py"), "--format", "py").code == 0
    assert json.loads(nas("show", str(tmp_path / "net.py"), "--json").out)["key"] == key


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing"),
        (["--trial", "99"], "has no trial 99"),
        (["--key", "x"], "must begin with 'x', but got none"),
        (["--key", ""], "must begin with ''"),
        (["--key", "0", "--trial", "1"], "give one of them"),
        (["first/1", "--trial", "1"], "give one of them"),
        (["resnet20", "--trial", "1"], "resnet20 is a network"),
        (["resnet20", "--format", "py,onxx", "-o", "out"], "did you mean 'onnx'"),
        (["none.py"], "none.py cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, nas: Nas, words: list[str], message: str) -> None:
    check_mistake(nas("export", *words), message)
