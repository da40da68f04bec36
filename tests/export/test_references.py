"""The published networks as files: every one is proven, and gives torchvision's logits with torchvision's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from nas.export import export_code, read_topology
from nas.export.weights import rename_tensors
from nas.network.pretrained import from_torchvision
from nas.topology import references
from tests.helpers.exported import network

torch.set_num_threads(1)
NAMES = [
    *("plain18", "plain20", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet20", "resnet110"),
    *("preact_resnet20", "preact_resnet164", "wide_resnet28_10", "wide_resnet50_2", "mobilenet_like"),
    *("densenet121", "densenet169", "densenet201", "densenet161", "densenet40_12", "densenet_bc100_12"),
    *("highway", "highway_conv11", "unet", "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "gpt2", "gpt2_medium"),
    *("convnext_tiny", "resnext50_32x4d", "mobilenet_v2", "efficientnet_b0", "regnet_y_400mf"),
    *("denseformer", "attention_residuals", "rezero_transformer", "deepnorm_transformer", "nas_bench_macro_01201201"),
    "enas_macro_0_5_21_301_4100_20011",
]


def test_the_names_are_of_every_family() -> None:
    """vit_h_14, gpt2_large and gpt2_xl are the same code with other numbers, and many GiB."""
    families = {name for name in references.REFERENCES if any(known.startswith(name) for known in NAMES)}
    assert references.REFERENCES.keys() - families == {"vit_h_14"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_reference_is_proven(name: str, tmp_path: Path) -> None:
    topology = references.get(name)
    assert read_topology(export_code(topology, tmp_path / name)) == topology


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "efficientnet_b0"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("resnet50", "wide_resnet50_2", "densenet121", "densenet161", "vit_b_16", "vit_b_32"),
                *("convnext_tiny", "resnext50_32x4d", "mobilenet_v2", "regnet_y_400mf"),
            )
        ),
    ],
)
def test_torchvisions_weights_give_torchvisions_logits(name: str, tmp_path: Path) -> None:
    """Weights of its making: every parameter and statistic is moved off its zeros and ones."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None).eval()
    with torch.no_grad():
        for value in (*theirs.parameters(), *theirs.buffers()):
            if value.dim() == 1:
                value.add_(0.2 * torch.rand_like(value))
    topology = references.get(name, input=(3, 224, 224))
    ours = network(topology, tmp_path).eval()
    ours.load_state_dict(rename_tensors(topology, from_torchvision(name, theirs.state_dict())), strict=True)
    with torch.no_grad():
        x = torch.randn(2, 3, 224, 224)
        expected = theirs(x)
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
