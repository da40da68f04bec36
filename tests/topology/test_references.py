"""The published networks, exactly: as many parameters as their authors count, and torchvision's function."""

import json
import re

import pytest
import torch
import torchvision
from optuna.trial import FixedTrial
from torch import nn
from torchvision.ops import StochasticDepth

from nas.cost import measure
from nas.errors import TopologyError
from nas.network import build
from nas.network.pretrained import from_torchvision
from nas.space import SearchSpace
from nas.topology import references
from tests.helpers.published import TABLE, needs_table


def parameters(name: str) -> int:
    return sum(p.numel() for p in build(references.get(name), device="meta").parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("wide_resnet50_2", 68_883_240),
        ("densenet121", 7_978_856),
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
        ("densenet161", 28_681_000),
        ("vit_b_16", 86_567_656),
        ("vit_b_32", 88_224_232),
        ("vit_l_16", 304_326_632),
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
        ("wide_resnet28_10", 36_479_194),
        ("unet", 31_037_633),
        ("gpt2", 124_439_808),
        ("gpt2_medium", 354_823_168),
        ("gpt2_xl", 1_557_611_200),
        ("mobilenet_like", 3_504_872),
        ("convnext_tiny", 28_589_128),
        ("convnext_small", 50_223_688),
        ("convnext_base", 88_591_464),
        ("convnext_large", 197_767_336),
        ("resnext50_32x4d", 25_028_904),
        ("resnext101_32x8d", 88_791_336),
        ("resnext101_64x4d", 83_455_272),
        ("mobilenet_v2", 3_504_872),
        ("efficientnet_b0", 5_288_548),
        ("efficientnet_b1", 7_794_184),
        ("efficientnet_b2", 9_109_994),
        ("efficientnet_b3", 12_233_232),
        ("efficientnet_b4", 19_341_616),
        ("regnet_y_400mf", 4_344_144),
        ("regnet_y_800mf", 6_432_512),
        ("regnet_y_1_6gf", 11_202_430),
        ("regnet_y_3_2gf", 19_436_338),
        ("regnet_y_8gf", 39_381_472),
        ("regnet_y_16gf", 83_590_140),
        ("regnet_y_32gf", 145_046_770),
    ],
)
def test_parameters_are_the_published_ones(name: str, count: int) -> None:
    assert parameters(name) == count


@pytest.mark.parametrize(
    ("name", "millions"),
    [("densenet_bc100_12", 0.77), ("densenet40_12", 1.02), ("preact_resnet110", 1.7), ("preact_resnet164", 1.7)],
)
def test_parameters_are_near_the_published_roundings(name: str, millions: float) -> None:
    assert parameters(name) == pytest.approx(millions * 1e6, rel=0.02)


def randomised(model: nn.Module) -> nn.Module:
    """No norm, bias, token or statistic at its start value: an exchange of two must show."""
    generator = torch.Generator().manual_seed(0)
    for value in model.state_dict().values():
        if value.is_floating_point() and value.ndim not in (2, 4):
            value.copy_(value + 0.1 * torch.rand(value.shape, generator=generator))
    return model


@pytest.mark.parametrize(
    "name",
    ["resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2", "densenet121", "densenet169", "vit_b_16"],
)
@torch.no_grad()
def test_function_is_torchvisions(name: str) -> None:
    theirs = randomised(torchvision.models.get_model(name, weights=None)).eval()
    ours = build(references.get(name)).eval()
    ours.load_state_dict(from_torchvision(name, theirs.state_dict()))
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    assert (ours(x) - theirs(x)).abs().max() <= 1e-4 * theirs(x).abs().max().clamp(min=1)
    ours, theirs, x = ours.double(), theirs.double(), x.double()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)


def without_chance(model: nn.Module) -> nn.Module:
    """Neither dropout nor stochastic depth, which are a recipe's and not a network's here."""
    for module in model.modules():
        if isinstance(module, nn.Dropout | StochasticDepth):
            module.p = 0.0
    return model


@pytest.mark.parametrize(
    "name",
    [
        *("convnext_tiny", "resnext50_32x4d", "mobilenet_v2", "efficientnet_b0", "regnet_y_400mf"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("convnext_small", "convnext_base", "resnext101_32x8d", "resnext101_64x4d"),
                *("efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4"),
                *("regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf"),
            )
        ),
    ],
)
@torch.no_grad()
def test_function_is_torchvisions_on_small_images(name: str) -> None:
    """With the statistics of data: with those of an untrained network every image has the same logits."""
    torch.manual_seed(0)
    theirs = without_chance(randomised(torchvision.models.get_model(name, weights=None))).double()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    x = torch.randn(8, 3, 64, 64, dtype=torch.float64)
    theirs.train()(x)
    theirs.eval()
    ours = build(references.get(name, input=(3, 64, 64))).double().eval()
    ours.load_state_dict(from_torchvision(name, theirs.state_dict()))
    logits = ours(x[:2])
    assert (logits - theirs(x[:2])).abs().max() <= 1e-10
    assert (logits[0] - logits[1]).abs().max() > 0.1


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "convnext_tiny", "efficientnet_b0"])
def test_gradients_are_torchvisions(name: str) -> None:
    theirs = without_chance(randomised(torchvision.models.get_model(name, weights=None))).double().train()
    ours = build(references.get(name)).double().train()
    ours.load_state_dict(from_torchvision(name, theirs.state_dict()))
    x, y = torch.randn(2, 3, 64, 64, dtype=torch.float64), torch.tensor([1, 2])
    for model in (ours, theirs):
        nn.functional.cross_entropy(model(x), y).backward()
    wanted = from_torchvision(name, {key: p.grad for key, p in theirs.named_parameters()})
    for key, p in ours.named_parameters():
        torch.testing.assert_close(p.grad, wanted[key], msg=key)


@needs_table
def test_nas_bench_macro_has_its_parameters_flops_and_classes() -> None:
    table = json.loads(TABLE.read_text())
    classes: dict[str, list[str]] = {}
    for code, row in table.items():
        topology = references.nas_bench_macro(code)
        classes.setdefault(topology.key, []).append(code)
        cost = measure(topology)
        assert (code, cost.params, cost.flops) == (code, row["params"], row["flops"])
    assert len(table) == 6561
    assert len(classes) == 3969
    for codes in classes.values():
        assert len({(table[code]["params"], table[code]["flops"], table[code]["mean_acc"]) for code in codes}) == 1


def test_bilinear_unet_is_the_known_one() -> None:
    network = build(references.unet(up="bilinear", outputs=2), device="meta")
    assert sum(p.numel() for p in network.parameters()) == 17_263_042


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet21", r"depth of resnet must be 6n\+2 or published: .*18, 20.*got 21"),
        ("densenet122", "depth of densenet without a growth rate must be one of 121, 161, 169, 201, but got 122"),
        ("resnet", "resnet takes .depth"),
        ("resnett18", "a reference must be one of .*did you mean 'resnet18'"),
        ("nas_bench_macro_333", "eight digits"),
        ("gpt2_huge", "size of gpt2 must be one of small, medium, large, xl"),
        ("wide_resnet50_3", "widen"),
        ("convnext_huge", "size of convnext must be one of tiny, small, base, large"),
        ("resnext18", "depth of resnext must be one of 50, 101, 152, but got '18'"),
        ("resnext50_16x4d", "groups of resnext must be one of 32x4d, 32x8d, 64x4d"),
        ("efficientnet_b9", "size of efficientnet must be one of b0, b1"),
        ("regnet_y_1_7gf", "size of regnet_y must be one of .*did you mean '1_6gf'"),
        ("unet(64, 99)", "depth of unet"),
        ("resnet(18, 18)", "resnet takes"),
        ("resnet18; import os", "a reference must be one of"),
        ("x" * 10_000, "a reference must be one of"),
    ],
)
def test_what_does_not_exist_is_a_clear_error(name: str, message: str) -> None:
    with pytest.raises(TopologyError, match=message) as caught:
        references.get(name)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "name",
    [
        *("resnet20", "plain20", "densenet40_12", "preact_resnet20", "highway_conv", "unet(8, 2)"),
        *("resnext50_32x4d", "mobilenet_v2", "efficientnet_b0", "regnet_y_400mf"),
    ],
)
def test_references_fit_another_task(name: str) -> None:
    topology = references.get(name, input=(1, 16, 16), outputs=7)
    assert build(topology)(torch.zeros(2, 1, 16, 16)).shape[:2] == (2, 7)


def test_every_reference_cites_its_paper() -> None:
    for name, function in references.REFERENCES.items():
        assert re.search(r"(et al\.|& \w+) 20\d\d", function.__doc__ or ""), name


def test_the_space_of_nas_bench_macro_is_the_published_one() -> None:
    space = SearchSpace.load("nas_bench_macro")
    assert space.size() == 6561
    assert len({topology.key for topology in space.enumerate()}) == 3969
    for code in ("22212220", "00000000", "12012012"):
        topology = references.nas_bench_macro(code)
        assert space.sample(FixedTrial(space.encode(topology))).key == topology.key


def test_a_macro_network_of_enas_reads_what_its_arc_says() -> None:
    """Rows with the bits of the layers before the last one; the resolution is halved after each third."""
    topology = references.get("enas_macro_0_5_21_301_4100_20011")
    described = "conv3x3 36 → conv 36: · → maxpool: · → identity: &@1 → conv 36: · → conv/2 36: ·"
    assert topology.describe().startswith(described)
    reads = [[skip.source for skip in block.skips] for block in topology.blocks if block.op == "identity"]
    assert reads == [[1], [2], [1], [5, 8]]
    assert [shape.size for shape in topology.wiring.nodes][-1] == (8, 8)
    for wrong in ("enas_macro_6", "enas_macro_0_1_2", "enas_macro_0_1_22", "enas_macro"):
        with pytest.raises(TopologyError, match="enas_macro"):
            references.get(wrong)
