"""Changes of a trained network, without further training."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas import tasks
from nas.network import build
from nas.network.onednn import safe_onednn
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from nas.training.lesioned import LesionedEvaluator
from nas.training.loop import score

TASK = tasks.get("digits")
RECIPE = TASK.recipe.model_copy(update={"epochs": 1})


def network(*kinds: str | None) -> Topology:
    blocks = tuple(Block("basic", 4, skips=kind and Skip(kind)) for kind in kinds)
    return Topology(TASK.input, Stem("conv3x3", 4), blocks, Head("classify"), TASK.outputs)


WHOLE = network("add", "gate")
CHANGES = {
    "same": WHOLE,
    "without": network(None, "gate"),
    "added": network("add", "add"),
    "gated": network("gate", "gate"),  # needs weights that the whole network has not
    "widened": network("concat", "gate"),
}


@pytest.fixture(scope="module")
def evaluator() -> LesionedEvaluator:
    return LesionedEvaluator(TASK, RECIPE, WHOLE.key, CHANGES, device="cpu", threads=1)


def test_what_the_weights_fit_is_measured(evaluator: LesionedEvaluator) -> None:
    result = evaluator.evaluate(WHOLE, seed=3)
    assert result.measured.keys() & CHANGES.keys() == {"same", "without", "added"}
    assert result.measured["same"] == result.metrics["accuracy"]
    assert result.network is not None
    trained = result.network.state_dict()
    changed = build(CHANGES["without"])
    changed.load_state_dict({name: trained[name] for name in changed.state_dict()})
    with safe_onednn(changed):
        assert result.measured["without"] == score(changed, evaluator.validation, TASK, RECIPE)["accuracy"]


def test_another_network_is_only_trained(evaluator: LesionedEvaluator) -> None:
    other = replace(WHOLE, blocks=WHOLE.blocks[:1])
    assert not evaluator.evaluate(other, seed=3).measured.keys() & CHANGES.keys()
