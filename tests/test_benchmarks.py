"""What a measurement rests on: that it runs where it must, and that everybody trains the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import bare, engine
from benchmarks.card.__main__ import DONE, PARTS
from benchmarks.loops import plain, resident
from benchmarks.proof.contestants import contestants, resized
from nas.cost import measure
from nas.space import SearchSpace
from nas.tasks.recipe import Recipe
from nas.topology import references

NO_CARD = os.environ | {"CUDA_VISIBLE_DEVICES": ""}


def test_benchmarks_of_the_heart_need_torch_and_numpy_alone() -> None:
    missing = ("ray", "optuna", "pydantic", "pandas", "sklearn", "scipy", "lightning", "torchvision")
    program = (
        f"import sys\nsys.modules |= dict.fromkeys({missing!r})\n"  # None: an import fails
        "from benchmarks import cost as _, engine, network\nfrom nas import cost\n"
        "from benchmarks.card.__main__ import PARTS, part\nassert all(map(part, PARTS))\n"
        "engine.NOISE, engine.DATA['noise'] = 20, (engine.noise, 4)\n"
        "case = engine.case('noise', 'cpu', epochs=1, threads=1)\n"
        "topology = engine.resnet20(case)\n"
        "print(cost.measure(topology, case.recipe).params)\n"
        "assert 0 <= engine.engine(case)(topology, 0) <= 1\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["269722"], done.stderr


def test_the_bare_recipe_is_the_recipe() -> None:
    recipe = Recipe()
    assert recipe.model_dump() | {"augmentation": recipe.augmentation} == bare.DEFAULTS


def test_everybody_takes_as_many_steps_and_learns() -> None:
    case = engine.case("digits", "cpu", epochs=1, threads=1)
    assert case.steps == 8
    topology = engine.resnet20(case)
    first, again = (list(case.network(topology, 3).state_dict().values()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    sides = {engine.OURS: engine.engine(case), "plain": plain(case), "resident": resident(case)}
    for side in sides.values():
        assert side(topology, 0) > 0.2


def rehearsal(out: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """Run the parts of `make gpu` on the CPU; return card.json and what was said."""
    command = [sys.executable, "-m", "benchmarks.card", "--tiny", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=NO_CARD)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "card.json").read_text()), done.stderr


def test_a_part_that_has_ended_is_not_run_again(tmp_path: Path) -> None:
    whole, said = rehearsal(tmp_path, "equal")
    assert list(whole["parts"]) == ["equal"]
    assert said.split() == ["equal", "…"]
    assert all(goal["reached"] for goal in whole["parts"]["equal"]["goals"])
    again, said = rehearsal(tmp_path, "--seconds", "0")
    assert (again, said) == (whole, "")


def test_what_the_proof_has_on_record_is_not_searched_again(tmp_path: Path) -> None:
    small, large = (references.get(name).to_dict() for name in ("resnet20", "resnet32"))
    kept = {
        "trials": 200,
        "search": [{"name": "recommended", "topology": large, "searched": 0.9}],
        "random": [{"name": "best of random", "topology": small, "searched": 0.8}],
        "restarts": [{"name": "best of chains", "topology": large, "searched": 0.9}],
    }
    (tmp_path / "networks.json").write_text(json.dumps(kept))
    found = contestants(SearchSpace.load("digits"), tmp_path / "no searches", tmp_path, trials=200)
    assert [one.name for one in found] == ["recommended = best of chains", "best of random"]
    assert [one.searched for one in found] == [0.9, 0.8]
    equal = resized(found[0].topology, 200_000, Recipe())
    assert 0.9 * 200_000 < measure(equal, Recipe()).params <= 200_000
    with pytest.raises(SystemExit, match="200 trials"):  # a control of another budget is none
        contestants(SearchSpace.load("digits"), tmp_path / "no searches", tmp_path, trials=50)
    assert not (tmp_path / "no searches").exists()


@pytest.mark.slow
def test_everything_for_a_card_is_rehearsed_without_one(tmp_path: Path) -> None:
    whole, _ = rehearsal(tmp_path)
    assert list(whole["parts"]) == list(PARTS)
    for name, part in whole["parts"].items():
        assert part["state"] == DONE, (name, part.get("log"))
        assert part["rows"]
        assert not any("failed" in row for row in part["rows"]), name
    for name in ("equal", "faults"):  # what does not depend on sizes holds without a card, too
        assert all(goal["reached"] for goal in whole["parts"][name]["goals"]), name
    page = (tmp_path / "card.md").read_text()
    assert all(f"## {name}" in page for name in PARTS)
