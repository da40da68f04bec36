"""`nas pilot`: is there anything to find?"""

import json
import shutil
from pathlib import Path

from tests.helpers.command_line import Nas


def test_a_run_is_looked_at_as_it_is(folder: Path, nas: Nas) -> None:
    done = nas("pilot", "first", "--json")
    assert done.code == 2
    assert "a pilot needs at least 3 topologies" in done.err


def test_a_word_that_is_neither_is_one_line(folder: Path, nas: Nas) -> None:
    done = nas("pilot", "nothing")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1


def test_help_has_an_example(nas: Nas) -> None:
    assert "nas pilot digits" in nas("pilot", "--help").out


def test_a_pilot_trains_and_says_what_it_found(folder: Path, nas: Nas) -> None:
    done = nas(
        "pilot", "tiny.yaml", "--topologies", "3", "--seeds", "2", "--trials", "9", "--name", "piloted", "--json"
    )
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["run"], found["topologies"], found["trainings"], found["trials"]) == ("piloted", 3, 6, 9)
    assert found["noise"]["low"] <= found["noise"]["value"] <= found["noise"]["high"]
    assert found["baseline"] in ("plain", "resnet", "plain = resnet")
    assert found["verdict"]
    (row,) = (row for row in json.loads(nas("list", "--json").out) if row["run"] == "piloted")
    assert row["finished"] == 10  # six of the pilot, two baselines from two seeds
    shown = nas("pilot", "piloted")
    assert "sd between topologies" in shown.out
    assert "nas search --resume piloted" in shown.err
    shutil.rmtree(folder / "runs" / "piloted")  # other tests count the runs
