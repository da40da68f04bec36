"""Networks start as their papers start them: beside torchvision's, beside transformers', and as the rules say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

import pytest
import torch
import torchvision
from torch import Tensor, nn

from nas.errors import TopologyError
from nas.network import build
from nas.network.initialisation import INITS, layer_starts
from nas.network.pretrained import from_torchvision
from nas.tasks.recipe import Recipe
from nas.topology import Block, Head, Skip, Stem, Topology, references
from nas.topology.topology import auto_bias

SIGMAS = 6  # of two thousand comparisons none may fail by chance

Ratio = Callable[[str, nn.Module], float | None]


def fan_in_instead(name: str, module: nn.Module) -> float | None:
    """σ of He by fan out over σ of He by fan in."""
    if not isinstance(module, nn.Conv2d):
        return None
    fans = (module.weight[:, 0].numel() / module.groups, module.weight[0].numel())
    return (fans[1] / fans[0]) ** 0.5


def groups_forgotten(name: str, module: nn.Module) -> float | None:
    """σ of He with the outputs that one input reaches over σ with all outputs."""
    return module.groups**0.5 if isinstance(module, nn.Conv2d) else None


def small_head(name: str, module: nn.Module) -> float | None:
    """σ of torch's linear map over 0.01."""
    return (3 * module.in_features) ** -0.5 / 0.01 if isinstance(module, nn.Linear) else None


def head_by_inputs(name: str, module: nn.Module) -> float | None:
    """σ of torch's linear map over that of U(−1/√outputs, 1/√outputs)."""
    return (module.out_features / module.in_features) ** 0.5 if isinstance(module, nn.Linear) else None


# what is meant to differ from torchvision: by which ratio of σ, and why
DIFFERENCES: Mapping[str, tuple[Ratio, str]] = {
    "densenet121": (
        fan_in_instead,
        "the authors' own code counts fan out; a norm follows, so the function is the same",
    ),
    "mobilenet_like": (
        lambda name, module: groups_forgotten(name, module) or small_head(name, module),
        "torch counts the outputs of all groups, so that a depthwise convolution starts √groups too small; the head of "
        "every image classifier is torch's own",
    ),
    "efficientnet_b0": (
        lambda name, module: groups_forgotten(name, module) or head_by_inputs(name, module),
        "as mobilenet_like",
    ),
}
THEIRS = {"mobilenet_like": "mobilenet_v2"}
# σ of what torchvision draws, where ours is 0
NEARLY_ZERO = {"vit_b_16": 1e-6}  # the biases of the feed-forward layers
HEAD_BIAS = 0.05  # of a linear map with torch's own bias: U(−1/√n, 1/√n), drawn by torchvision's mobilenet at 0


def in_order(state: Mapping[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Return their tensors by our names: MobileNetV2's are in the order of ours."""
    values = [value for value in state.values() if value.ndim]
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "densenet121", "mobilenet_like", "convnext_tiny", "efficientnet_b0"),
        pytest.param("vit_b_16", marks=pytest.mark.slow),
    ],
)
def test_networks_start_as_torchvisions(name: str) -> None:
    torch.manual_seed(0)
    ours = build(references.get(name))
    theirs = torchvision.models.get_model(THEIRS.get(name, name), weights=None).state_dict()
    names = [key for key, value in ours.state_dict().items() if value.ndim]
    wanted = in_order(theirs, names) if name in THEIRS else from_torchvision(name, theirs)
    differs, _ = DIFFERENCES.get(name, (lambda name, module: None, ""))
    for key, value in ours.named_parameters():
        path, _, kind = key.rpartition(".")
        other = wanted[key]
        assert value.shape == other.shape, key
        if name in ("mobilenet_like", "efficientnet_b0") and key == "head.linear.bias":
            assert float(other.abs().max()) == 0 < float(value.detach().abs().max()) < HEAD_BIAS
            continue
        ratio = differs(key, ours.get_submodule(path)) if kind == "weight" else None
        same_start(key, value.detach(), other * (ratio or 1.0), NEARLY_ZERO.get(name, 0.0))


def same_start(key: str, ours: Tensor, theirs: Tensor, zero: float = 0.0) -> None:
    """Check that mean and σ are equal within SIGMAS standard errors, or both tensors constant and equal."""
    if ours.unique().numel() == 1:
        assert (ours - theirs).abs().max() <= SIGMAS * zero, key
        return
    n, sigma, mine = ours.numel(), float(theirs.std()), float(ours.std())
    assert abs(mine / sigma - 1) <= SIGMAS * n**-0.5, f"{key}: σ {mine:.4g} beside {sigma:.4g}"
    assert abs(float(ours.mean() - theirs.mean())) <= SIGMAS * sigma * (2 / n) ** 0.5, key


def test_gpt2_starts_as_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed")
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config()).state_dict()
    ours = build(references.get("gpt2"))
    places = {"ln": "norm", "c_attn": "qkv", "c_proj": "out"}, {"ln": "norm", "c_fc": "expand", "c_proj": "project"}
    for number in range(24):
        parts = ("ln_1", "attn.c_attn", "attn.c_proj"), ("ln_2", "mlp.c_fc", "mlp.c_proj")
        for part in parts[number % 2]:
            mine = places[number % 2][part.split(".")[-1].split("_1")[0].split("_2")[0]]
            for kind in ("weight", "bias"):
                key = f"blocks.{number}.transform.{mine}.{kind}"
                other = theirs[f"transformer.h.{number // 2}.{part}.{kind}"]
                same_start(key, ours.get_parameter(key).detach(), other.T if other.ndim == 2 else other)
    for mine, other in (("stem.token.weight", "wte.weight"), ("stem.position", "wpe.weight")):
        same_start(mine, ours.get_parameter(mine).detach(), theirs[f"transformer.{other}"])


# ------------------------------------------------------------------------------------------------------ by the rules


def chain(*skips: Skip | None, op: str = "basic", **options: object) -> Topology:
    blocks = tuple(Block(op, 8, skips=skip, options=options) for skip in skips)
    return Topology((3, 8, 8), Stem("conv3x3", 8), blocks, Head("classify"), 4)


def language_model(*skips: Skip | None) -> Topology:
    blocks = tuple(
        Block("attention" if place % 2 == 0 else "feed_forward", 64, skips=skip) for place, skip in enumerate(skips)
    )
    return Topology((16,), Stem("token", 64, {"vocabulary": 50}), blocks, Head("language_model"), 50)


def test_only_residual_branches_of_a_language_model_are_scaled_by_their_number() -> None:
    add = Skip("add")
    starts = layer_starts(language_model(add, add, None, Skip("concat"), add))
    assert [start.sigma for found in starts for start in found[:-1]] == [0.02] * 5
    assert [found[-1].sigma for found in starts] == [0.02 / 3**0.5, 0.02 / 3**0.5, 0.02, 0.02, 0.02 / 3**0.5]


@pytest.mark.parametrize("op", ["basic", "bottleneck", "grouped_bottleneck", "mbconv", "mbconv_se"])
def test_zero_residual_makes_every_residual_block_pass_its_input(op: str) -> None:
    topology = chain(Skip("add"), None, Skip("concat"), Skip("gate"), op=op)
    network = build(topology, init="zero_residual").eval()
    x = torch.rand(2, 8, 8, 8)
    torch.testing.assert_close(network.blocks[0](x, x), x)
    for block in network.blocks[1:]:
        assert all((m.weight == 1).all() for m in block.transform.modules() if isinstance(m, nn.BatchNorm2d))
    assert any((m.weight == 0).all() for m in network.blocks[0].transform.modules() if isinstance(m, nn.BatchNorm2d))


def test_a_unit_that_ends_in_no_norm_starts_the_same_under_zero_residual() -> None:
    states = []
    for init in ("he", "zero_residual"):
        torch.manual_seed(0)
        states.append(build(chain(Skip("add"), op="preact"), init=init).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_the_choice_of_torch_keeps_torchs_convolutions() -> None:
    torch.manual_seed(0)
    weight = build(chain(Skip("add")), init="torch").get_parameter("blocks.0.transform.conv1.weight")
    bound = (8 * 9) ** -0.5
    assert float(weight.detach().abs().max()) <= bound
    assert float(weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.1)


def test_a_depthwise_convolution_counts_its_own_outputs() -> None:
    torch.manual_seed(0)
    blocks = (Block("mbconv", 256, options={"expansion": 1}),)
    network = build(Topology((3, 8, 8), Stem("conv3x3", 256), blocks, Head("classify"), 4))
    weight = network.get_parameter("blocks.0.transform.depthwise.0.weight").detach()
    assert float(weight.std()) == pytest.approx((2 / 9) ** 0.5, rel=0.1)


@pytest.mark.parametrize("bias", [-2.0, -4.0, 1.5])
@pytest.mark.parametrize("op", ["conv", "linear"])
def test_a_gate_starts_at_its_bias_for_every_input(op: str, bias: float) -> None:
    skip = Skip("gate", options={"bias": bias})
    stem, input = (Stem("conv3x3", 8), (3, 8, 8)) if op == "conv" else (Stem("linear", 8), (20,))
    block = build(Topology(input, stem, (Block(op, 8, skips=skip),), Head("classify"), 4)).blocks[0].eval()
    x = torch.randn(4, 8, 8, 8) if op == "conv" else torch.randn(4, 8)
    open = torch.sigmoid(torch.tensor(bias))
    torch.testing.assert_close(block(x, x), open * block.transform(x) + (1 - open) * x)


@pytest.mark.parametrize("init", INITS)
def test_every_init_gives_finite_outputs_on_every_reference_of_a_task(init: str) -> None:
    for name in ("resnet20", "preact_resnet20", "densenet_bc16", "highway_conv11", "unet(8, 2)", "highway10"):
        topology = references.get(name, input=None if name == "highway10" else (3, 32, 32))
        x = torch.randn(2, *topology.input)
        assert build(topology, init=init)(x).isfinite().all()


# ----------------------------------------------------------------------------------------------------- the gates' bias


def test_an_automatic_bias_falls_with_the_number_of_gates() -> None:
    biases = [auto_bias(gates) for gates in range(400)]
    assert biases == sorted(biases, reverse=True)
    assert biases[:17] == [-2.0] * 17
    assert biases[48] == pytest.approx(-3.1) and biases[98] == pytest.approx(-3.9)
    for gates, bias in list(enumerate(biases))[20:]:  # a signal passes two transformations in all
        assert gates * torch.sigmoid(torch.tensor(bias)) == pytest.approx(2, rel=0.06)


def test_automatic_and_written_out_are_one_key_and_today_s_default_has_no_trace() -> None:
    skips = [Skip("gate", options={"bias": value}) for value in ("auto", -2.0, -2, -3.0)]
    keys = [chain(skip, op="conv").key for skip in (Skip("gate"), *skips)]
    assert keys[0] == keys[1] == keys[2] == keys[3] != keys[4]
    deep = [chain(*[skip] * 40, op="conv") for skip in (skips[0], Skip("gate", options={"bias": auto_bias(40)}))]
    assert deep[0].key == deep[1].key != chain(*[Skip("gate")] * 40, op="conv").key
    assert "bias" not in str(chain(Skip("gate"), op="conv").to_dict())
    for topology in deep:
        assert Topology.from_dict(topology.to_dict()) == topology
    assert build(deep[0]).blocks[0].join.conv.bias[0].item() == pytest.approx(auto_bias(40))


def test_an_unknown_init_is_refused_and_the_recipe_knows_the_same() -> None:
    with pytest.raises(TopologyError, match=r"init must be one of he, torch, .*did you mean 'zero_residual'"):
        build(chain(Skip("add")), init="zero_residuals")
    assert get_args(Recipe.model_fields["init"].annotation) == INITS


def test_a_bias_is_a_number_within_bounds_and_minus_zero_is_zero() -> None:
    assert chain(Skip("gate", options={"bias": -0.0})).key == chain(Skip("gate", options={"bias": 0})).key
    for bias, message in ((10**400, "<= 30 must hold"), (float("nan"), "<= 30 must hold"), (True, "a number or auto")):
        with pytest.raises(TopologyError, match=message):
            Skip("gate", options={"bias": bias})
    for options in (("bias",), (1, 2), 3):
        with pytest.raises(TopologyError, match="options of gate must be a mapping"):
            Skip("gate", options=options)  # type: ignore[arg-type]


@pytest.mark.parametrize("skip", [{"kind": "gate", "bais": -1}, {"kind": "add", "bias": -1}, {"kind": "gate", 1: 2}])
def test_an_unknown_key_of_a_skip_names_the_known_ones(skip: dict[object, object]) -> None:
    data = chain(None).to_dict()
    data["blocks"][0]["skip"] = skip
    with pytest.raises(TopologyError, match="a key of skip must be one of kind, source, shortcut"):
        Topology.from_dict(data)
