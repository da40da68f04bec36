"""`nas ablate`: which skips of a network are needed?"""

import csv
import io
import json
from pathlib import Path

import pytest

from nas.study import Run
from nas.study.ablation import Ablation
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from tests.helpers.command_line import Nas, check_mistake


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of two blocks with a skip, in a file."""
    blocks = (Block("basic", 4, skips=Skip("add")), Block("basic", 4, skips=Skip("gate")))
    made = Topology((1, 8, 8), Stem("conv3x3", 4), blocks, Head("classify"), 10)
    path = tmp_path / "two.json"
    path.write_text(json.dumps(made.to_dict()))
    monkeypatch.chdir(tmp_path)
    return path


def test_a_network_is_ablated_and_the_same_call_trains_nothing_again(network: Path, nas: Nas) -> None:
    words = ("ablate", "two.json", "--task", "digits", "--seeds", "2", "--no-replace", "--recipe", "epochs=1")
    done = nas(*words, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["complete"] and told["network"] == "two" and told["seeds"] == [1000, 1001]
    assert [(part["place"], part["after"]) for part in told["parts"]][:2] == [("block01", "none"), ("block02", "none")]
    assert all(part["lesioned"]["figure"]["n"] == 2 for part in told["parts"][:2])
    assert told["run"] == "two-on-digits"
    run = Run.open(told["run"], "ablations")
    trials = Ablation(run).trials()

    again = nas(*words, "--csv", "--enqueue")
    rows = list(csv.DictReader(io.StringIO(again.out)))
    assert float(rows[0]["retrained_mean"]) == pytest.approx(told["parts"][0]["retrained"]["figure"]["mean"])
    assert len(Ablation(Run.open(told["run"], "ablations")).trials()) == len(trials)
    assert (told["needless"] == []) == ("without what does nothing" not in again.err)
    waiting = [trial for trial in run.study.get_trials() if trial.state.name == "WAITING"]
    assert len(waiting) == (told["needless"] != [])


@pytest.mark.usefixtures("network")
def test_mistakes_are_one_line(nas: Nas) -> None:
    check_mistake(nas("ablate", "other"), "there is no run 'other'")
    check_mistake(nas("ablate", "two.json"), "two.json needs a task: --task digits, say")
    check_mistake(nas("ablate", "resnet20", "--task", "digit"), "digit")
    check_mistake(nas("ablate", "--task", "digits"), "--task is for a reference or a file")
    check_mistake(nas("ablate", "nosuch", "--task", "digits"), "--task is for a reference or a file, not for 'nosuch'")
    for words in (("plain20",), ("two.json", "--recipe", "epcohs=1"), ("two.json", "--time", "5x")):
        assert nas("ablate", *words, "--task", "digits").code == 2
    assert nas("ablate", "two.json", "--task", "digits", "--gpus-per-trial", "foo").code == 2
    assert not Path("ablations").exists() and not Path("runs").exists()  # a mistake leaves no run behind
    check_mistake(nas("ablate", "two.json", "--task", "breast_cancer"), "network.stem: it reads an image")


def test_help_has_an_example(nas: Nas) -> None:
    assert "resnet20 --task digits" in " ".join(nas("ablate", "--help").out.split())
