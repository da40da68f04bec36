"""`precision: auto` is a property of the run: decided once, the same for all candidates, and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas import tasks
from nas.searching import driver
from nas.tasks.recipe import Recipe
from nas.training import precision
from nas.training.evaluate import Evaluator
from nas.training.precision import resolve_precision
from tests.helpers import scripted

AUTO = Recipe(precision="auto")


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_gpus_since_ampere_gain(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision(AUTO, "cuda").precision == expected


@pytest.mark.parametrize(("has", "expected"), [(False, "float32"), (True, "bf16")])
def test_the_run_records_what_was_decided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has: bool, expected: str
) -> None:
    monkeypatch.setattr(precision, "_multiplies_bf16", lambda device: has)
    monkeypatch.setattr(driver, "_run_session", lambda *arguments: None)
    space = scripted.space()
    space = type(space).from_dict(space.to_dict() | {"train": AUTO.model_dump()})
    run = driver.search(space, root=tmp_path)
    assert run.space.recipe == AUTO.model_copy(update={"precision": expected})
    assert f"precision: {expected}" in (run.path / "run.yaml").read_text()


def test_an_evaluator_decides_for_its_device() -> None:
    assert Evaluator(tasks.get("digits"), AUTO).recipe.precision == resolve_precision(AUTO, "cpu").precision != "auto"
    assert resolve_precision(Recipe(), "cuda") == Recipe()
