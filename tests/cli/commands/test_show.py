"""`nas show`: spaces, references, trials and files."""

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import Nas, check_mistake


def test_show_what_there_is(folder: Path, nas: Nas, tmp_path: Path) -> None:
    assert "11.7M" in nas("show", "resnet18").out
    shown = json.loads(nas("show", "first/0", "--json").out)
    (tmp_path / "topology.json").write_text(
        json.dumps({key: shown[key] for key in ("input", "stem", "blocks", "head", "outputs")})
    )
    assert json.loads(nas("show", str(tmp_path / "topology.json"), "--json").out)["key"] == shown["key"]
    assert json.loads(nas("show", "runs/first/best/network.py", "--json").out)["version"] == 1
    assert nas("show", "unet", "-o", str(tmp_path / "unet.svg")).code == 0
    assert (tmp_path / "unet.svg").read_text().startswith("<svg")
    assert "topologies" in nas("show", "digits").out
    assert json.loads(nas("show", "digits", "--json").out)["size"] > 10**6


@pytest.mark.parametrize(
    ("word", "message"),
    [("resnet21", "6n+2"), ("first/99", "has no trial 99"), ("nothing", "nothing")],
)
def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, nas: Nas, word: str, message: str) -> None:
    check_mistake(nas("show", word), message)
