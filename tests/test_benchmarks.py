"""What a measurement rests on: that it runs where it must, and that everybody trains the same."""

from __future__ import annotations

import subprocess
import sys

import torch

from benchmarks import bare, engine
from benchmarks.loops import plain, resident
from nas.tasks.recipe import Recipe


def test_benchmarks_of_the_heart_need_torch_and_numpy_alone() -> None:
    missing = ("ray", "optuna", "pydantic", "pandas", "sklearn", "scipy", "lightning", "torchvision")
    program = (
        f"import sys\nsys.modules |= dict.fromkeys({missing!r})\n"  # None: an import fails
        "from benchmarks import cost as _, engine, network\nfrom nas import cost\n"
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
