"""An untrained network of the exported file starts as the built one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.export import export_topology
from nas.export.card import ModelCard
from nas.export.source import write_source
from nas.export.weights import rename_tensors
from nas.network import build
from nas.network.initialisation import INITS
from nas.tasks.recipe import Recipe
from nas.topology import references
from nas.topology.topology import auto_bias
from tests.helpers.exported import loaded
from tests.helpers.topologies import SMALL, TINY


@pytest.mark.parametrize("init", INITS)
def test_the_same_seed_gives_the_same_untrained_network(init: str, tmp_path: Path) -> None:
    for name in ("resnet18", "unet", "gpt", "densenet121", "mobilenet_like", "vit", "preact_resnet20"):
        path = tmp_path / "network.py"
        path.write_text(write_source(SMALL[name], name, 0, init=init), encoding="utf-8")
        torch.manual_seed(3)
        ours = rename_tensors(SMALL[name], build(SMALL[name], init=init).state_dict())
        torch.manual_seed(3)
        exported = loaded(path).Network().state_dict()
        assert ours.keys() == exported.keys()
        assert all(torch.equal(ours[key], exported[key]) for key in ours)


def test_gates_in_a_loop_start_at_their_bias(tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    path.write_text(write_source(references.get("highway50"), "highway", 0), encoding="utf-8")
    gates = [gate.linear for gate in loaded(path).Network().gates1_48]
    assert all((gate.weight == 0).all() and (gate.bias == auto_bias(48)).all() for gate in gates)


def test_the_recipe_of_the_card_says_how_the_file_starts(tmp_path: Path) -> None:
    card = ModelCard("small", recipe=Recipe(init="zero_residual"))
    text = (export_topology(TINY["residual"], tmp_path, card=card) / "network.py").read_text()
    assert text.count("nn.init.zeros_") == len(TINY["residual"])
    assert "nn.init.zeros_" not in write_source(TINY["residual"], "small", 0)
