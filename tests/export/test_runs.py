"""A run's winner as files, with what the record knows of it."""

from __future__ import annotations

import re
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState, create_trial
from safetensors.torch import load_file, save_file

from nas.errors import ExportError, RunError
from nas.export import export_run, read_topology
from nas.export.runs import _interval
from nas.network import build
from nas.study import Run
from nas.study import attributes as names
from nas.topology import Topology
from tests.helpers import scripted

torch.set_num_threads(1)
optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = scripted.space()


def topology(*kinds: str) -> Topology:
    trial = optuna.trial.FixedTrial({f"block{place:02}.skip": kind for place, kind in enumerate(kinds, 1)})
    return SPACE.sample(trial)


def add(run: Run, accuracy: float | None, params: int, *kinds: str, state: str = "COMPLETE", **more: object) -> None:
    known = {
        names.TOPOLOGY: topology(*kinds).to_dict(),
        names.KEY: topology(*kinds).key,
        names.PREDICTED: {"params": params, "flops": 30, "memory": 5 * 2**20},
        names.CURVE: [{"epoch": 1}, {"epoch": 2}],
        names.SEED: 7,
    }
    if accuracy is not None:
        known[names.METRICS] = {"accuracy": accuracy}
    values = [accuracy, params] if state == "COMPLETE" else None
    run.study.add_trial(create_trial(state=TrialState[state], values=values, user_attrs=known | more))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(SPACE, "first", tmp_path)
    add(run, 0.80, 1100, "add", "none", "none", "none", **{names.BASELINE: "plain"})
    add(run, 0.95, 1300, "add", "concat", "add", "none")
    add(run, 0.85, 1400, "add", "add", "add", "none")  # beaten by trial 1
    add(run, None, 1000, "none", "none", "none", "none", state="FAIL", **{names.REASON: "diverged"})
    add(run, 0.97, 1600, "concat", "concat", "add", "none")
    return run


def weights(run: Run, number: int) -> torch.nn.Module:
    network = build(run.topology(number)).eval()
    save_file(network.state_dict(), run.weights_folder / f"{number}.safetensors")
    return network


def test_the_winner_with_its_weights(run: Run) -> None:
    network = weights(run, 4)
    folder = export_run(run)
    assert folder == run.path / "best"
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "network.py", "weights.safetensors"]
    assert read_topology(folder / "network.py") == run.best()
    exported = load_file(folder / "weights.safetensors")
    assert torch.equal(exported["stem.conv.weight"], network.state_dict()["stem.conv.weight"])
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "# first, trial 4\n" in card
    assert "| task | digits |" in card
    assert re.search(r"validation accuracy \| 0\.9700, 95% interval 0\.94\d+ to 0\.98\d+ \(Wilson, n = 357\)", card)
    assert "1,085 train, 357 validation, 355 test samples" in card
    assert "| seed | 7 |" in card
    assert "chosen among 4 by the validation split" in card
    for name in ("parameters", "FLOPs", "memory", "latency", "searched with", "versions", "key", "trained"):
        assert re.search(rf"^\| {name} \| .*\d", card, re.MULTILINE), name
    assert "torch 2" in card and "## Neighbours on the Pareto front" in card
    assert 'load_weights("weights.safetensors")' in card
    assert "no weights" not in card


def test_neighbours_are_the_front(run: Run) -> None:
    card = (export_run(run, 1) / "card.md").read_text(encoding="utf-8")
    table = card.partition("## Neighbours")[2]
    trials = re.findall(r"^\| (\d+)", table, re.MULTILINE)
    assert trials == ["0", "1", "4"]  # by size; 2 is beaten by 1, 3 failed
    assert "| 1 (this one) | 0.9500 | 1,300 | 5.0 MiB | 30 |" in table


def test_any_trial_to_any_folder(run: Run, tmp_path: Path) -> None:
    folder = export_run(run, 0, tmp_path / "out")
    assert folder == tmp_path / "out"
    assert read_topology(folder / "network.py") == run.topology(0)
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "It is the baseline plain." in card
    assert "The run kept no weights of this trial: the network is untrained." in card
    assert not (folder / "weights.safetensors").exists()
    assert export_run(run, 3) == run.path / "trial-3"
    failed = (run.path / "trial-3" / "card.md").read_text(encoding="utf-8")
    assert "| validation accuracy | not measured |" in failed
    assert "It was not trained to the end (failed)" in failed


def test_an_old_winner_leaves_no_weights_behind(run: Run) -> None:
    weights(run, 4)
    export_run(run)
    (run.weights_folder / "4.safetensors").unlink()
    export_run(run)
    assert not (run.path / "best" / "weights.safetensors").exists()


def test_an_old_winner_leaves_no_other_format_behind(run: Run, tmp_path: Path) -> None:
    folder = export_run(run)
    for place in (folder, tmp_path):
        (place / "network.onnx").write_text("of an earlier winner")
    export_run(run)
    assert not (folder / "network.onnx").exists()
    export_run(run, path=tmp_path)
    assert (tmp_path / "network.onnx").exists()  # not ours to remove


def test_a_key_names_its_trial(run: Run) -> None:
    keys = [run.topology(number).key for number in range(5)]
    for number, key in enumerate(keys):
        assert run.number(key) == run.number(key[:12].upper()) == number
    add(run, None, 1300, "add", "concat", "add", "none", state="FAIL", **{names.KEY: keys[1], names.REASON: "known"})
    assert run.number(keys[1]) == 1
    for wrong in ("", "zz", keys[1] + "0", "%"):
        with pytest.raises(RunError, match="must begin with"):
            run.number(wrong)


def test_damaged_weights_are_one_line(run: Run) -> None:
    (run.weights_folder / "4.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ExportError, match="cannot be read"):
        export_run(run)
    save_file({"x": torch.zeros(1)}, run.weights_folder / "4.safetensors")
    with pytest.raises(ExportError, match="the weights are not those"):
        export_run(run)
    assert not (run.path / "best").exists()


def test_what_is_not_there(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no trial 99"):
        export_run(run, 99)
    with pytest.raises(ExportError, match="no trial that was trained to the end"):
        export_run(Run.create(SPACE, "empty", tmp_path))


def test_wilsons_interval() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20, in his figures."""
    assert _interval(81 / 263, 263).startswith("0.2553 to 0.3662")
    assert _interval(0.0, 20).startswith("0.0000 to 0.1611")


def test_the_card_of_a_topology_with_several_seeds_tells_what_is_expected(run: Run) -> None:
    for seed, accuracy in enumerate((0.93, 0.94, 0.92)):
        add(run, accuracy, 1600, "concat", "concat", "add", "none", **{names.SEED: seed})
    add(run, 0.949, 1300, "add", "concat", "add", "none", **{names.SEED: 8})
    assert run.winner == 1  # 0.97 was luck
    weights(run, 4)
    text = (export_run(run, 4) / "card.md").read_text()
    assert "| validation accuracy | 0.9400, the mean of 4 trainings (standard deviation 0.0216), 95% interval" in text
    interval = re.search(r"expected accuracy \| (0\.\d{4}), 95% interval (\S+) to (\S+), from all results", text)
    assert interval is not None
    expected, low, high = map(float, interval.groups())
    assert low < expected < high
    assert expected < 0.96
    assert "| seeds | 7, 0, 1, 2 |" in text
    assert "4 trainings with as many seeds, chosen among 4 by the validation split" in text
    assert "One training" not in text
    assert "not separated from it by what the search measured" in text
    assert "The weights are those of one training: trial 4, seed 7." in text


def test_what_breaks_a_constraint_is_not_among_those_that_are_not_separated(tmp_path: Path) -> None:
    bounded = type(SPACE).from_dict(
        {**SPACE.to_dict(), "search": {**SPACE.to_dict()["search"], "constraints": {"params": 1500}}}
    )
    run = Run.create(bounded, "bounded", tmp_path)
    for seed, accuracy in enumerate((0.93, 0.94, 0.92)):
        add(run, accuracy, 1300, "add", "concat", "add", "none", **{names.SEED: seed})
    add(run, 0.935, 1400, "add", "add", "add", "none")
    add(run, 0.94, 1600, "concat", "concat", "add", "none")  # breaks the constraint
    assert run.winner is not None
    text = (export_run(run) / "card.md").read_text()
    assert "1 other topology is not separated from it" in text
