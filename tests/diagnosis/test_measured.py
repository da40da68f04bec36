"""The measurements of a diagnosis against what is known of small networks."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn

from nas import tasks
from nas.analysis import diagnosis_page, diagnosis_table, diagnosis_words
from nas.analysis.diagnosed import _row
from nas.diagnosis import Diagnosis, diagnose
from nas.diagnosis.flow import flow
from nas.diagnosis.measured import path_lengths
from nas.diagnosis.representation import features, openness, reuse, similarity
from nas.diagnosis.surface import STEPS, _direction, sharpness, surface
from nas.network import Network, build
from nas.study.plain import as_json
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem
from nas.training.metrics import LOSSES

LOSS = LOSSES["cross_entropy"]
TASK = tasks.get("digits")


def topology(*kinds: str | None) -> Topology:
    blocks = tuple(Block("basic", 4, skips=kind and Skip(kind)) for kind in kinds)
    return Topology(TASK.input, Stem("conv3x3", 4), blocks, Head("classify"), TASK.outputs)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(8, *TASK.input), torch.randint(0, 10, (8,))


def built(*kinds: str | None) -> Network:
    torch.manual_seed(0)
    return build(topology(*kinds))


def test_scales_are_those_of_autograd_and_leave_the_network_as_it_was(batch: tuple[Tensor, Tensor]) -> None:
    network = built("add", None)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = flow(network, *batch, LOSS)
    assert len(found.activations) == len(found.gradients) == 3
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(one.grad is None for one in network.parameters())
    network.train()
    LOSS(network(batch[0]), batch[1]).backward()  # type: ignore[no-untyped-call]
    for part, norm in zip(network.parts, found.gradients, strict=False):
        squares = sum(float(one.grad.square().sum()) for one in part.parameters() if one.grad is not None)
        assert norm == pytest.approx(math.sqrt(squares), rel=1e-4)
    network.load_state_dict(before)
    network.train()
    stem = network.stem(batch[0])
    assert found.activations[0] == pytest.approx(float(stem.detach().square().mean().sqrt()), rel=1e-5)


def test_the_middle_of_the_surface_is_the_loss_and_the_weights_return(batch: tuple[Tensor, Tensor]) -> None:
    network = built("add", "gate")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = surface(network, *batch, LOSS)
    network.eval()
    middle = found.losses[STEPS // 2][STEPS // 2]
    assert middle == pytest.approx(float(LOSS(network(batch[0]), batch[1]).detach()), rel=1e-5)
    assert found.steps[STEPS // 2] == pytest.approx(0, abs=1e-6)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert len({value for row in found.losses for value in row}) > 100


def test_filters_of_a_direction_are_as_long_as_those_of_the_network() -> None:
    weight = torch.randn(6, 3, 3, 3) * torch.arange(1, 7).view(-1, 1, 1, 1)
    direction = _direction(weight, torch.Generator().manual_seed(0))
    assert torch.allclose(direction.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1), rtol=1e-5)


def test_the_sharpness_of_a_quadratic_is_known() -> None:
    layer = nn.Linear(3, 1, bias=False)
    inputs = torch.diag(torch.tensor([1.0, 2.0, 5.0]))
    targets = torch.zeros(3)
    loss = LOSSES["squared_error"]  # the mean of (w_i x_i)²: its Hessian is diagonal, 2/3 x_i²
    assert sharpness(layer, inputs, targets, loss) == pytest.approx(2 / 3 * 25, rel=1e-3)


def test_similarity_sees_through_rotations_and_scales() -> None:
    torch.manual_seed(2)
    one = torch.randn(40, 5)
    rotated = 3 * one @ torch.linalg.qr(torch.randn(5, 5))[0] + 1
    found = similarity([one, rotated, torch.randn(40, 5)])
    assert found[0][1] == pytest.approx(1)
    assert found[0][2] < 0.5
    assert found[2][0] == pytest.approx(found[0][2])


def test_paths_of_a_residual_network_are_binomial() -> None:
    assert path_lengths(topology(*["add"] * 4)) == pytest.approx([math.comb(4, k) / 16 for k in range(5)])
    assert path_lengths(topology(None, None)) == [0, 0, 1]
    long = Topology(
        TASK.input,
        Stem("conv3x3", 4),
        (Block("basic", 4), Block("basic", 4, skips=Skip("add", 0))),
        Head("classify"),
        TASK.outputs,
    )
    assert path_lengths(long) == [0.5, 0, 0.5]


def test_gates_open_as_their_bias_says_and_concatenations_are_read(batch: tuple[Tensor, Tensor]) -> None:
    gated = built("gate", None, "gate")
    opened = openness(gated, batch[0])
    assert list(opened) == [1, 3]
    bias = float(gated.blocks[0].join.conv.bias[0])  # type: ignore[union-attr,index,arg-type]
    assert opened[1] == pytest.approx(1 / (1 + math.exp(-bias)))
    dense = built("concat", "concat", None)
    found = reuse(dense)
    assert {block: set(row) for block, row in found.items()} == {2: {0, 1}, 3: {0, 1, 2}}
    with torch.no_grad():
        first = next(one for one in dense.blocks[1].transform.modules() if isinstance(one, nn.Conv2d))  # type: ignore[union-attr]
        first.weight[:, :4] = 0
    assert reuse(dense)[2][0] == 0 < reuse(dense)[2][1]
    assert [tuple(one.shape) for one in features(dense, batch[0])] == [(8, n, 8, 8) for n in (4, 8, 12, 4)]


def test_attention_has_a_second_derivative() -> None:
    text = Topology(
        (8,),
        Stem("token", 8, {"vocabulary": 16}),
        (Block("attention", 8, skips=Skip("add"), options={"heads": 2, "causal": True}),),
        Head("language_model"),
        16,
    )
    tokens = torch.randint(0, 16, (4, 8))
    torch.manual_seed(0)
    assert math.isfinite(sharpness(build(text), tokens, tokens, LOSS))


@pytest.fixture(scope="module")
def pair() -> list[Diagnosis]:
    recipe = TASK.recipe.model_copy(update={"epochs": 1})
    kinds = {"residual": ["add", "gate"], "dense": ["concat", "concat"]}
    return [diagnose(name, topology(*some), TASK, recipe, seeds=2) for name, some in kinds.items()]


def test_a_network_is_diagnosed_before_and_after_its_training(pair: list[Diagnosis]) -> None:
    one = pair[0]
    assert [len(curve) for curve in one.curves] == [1, 1]
    assert one.trained is not None
    assert one.trained.flow.gradients != one.start.gradients
    assert len(one.trained.similarity) == len(one.trained.probes) == 3
    assert all(0 <= accuracy <= 1 for accuracy in one.trained.probes)
    assert json.loads(json.dumps(as_json(one.to_dict())))["trained"]["sharpness"] == one.trained.sharpness


def test_the_page_shows_both_and_runs_only_its_own_scripts(pair: list[Diagnosis]) -> None:
    html = diagnosis_page(pair, "<img src=x onerror=1>")
    assert "residual against dense" in html
    assert "<img" not in html.split("<script")[0]
    plots = json.loads(html.split('id="plots">')[1].split("</script>")[0])
    drawn = {"surface0", "surface1", "similarity0", "similarity1", "reuse1", "openness", "probes", "lengths"}
    assert drawn <= plots.keys()
    assert "reuse0" not in plots
    assert plots["surface0"]["data"][0]["zmax"] == plots["surface1"]["data"][0]["zmax"]
    assert diagnosis_table(pair).row_count == 7
    assert "times that of residual" in " ".join(diagnosis_words(pair))
    assert diagnosis_words(pair[:1]) == []
    assert "residual</h1>" in diagnosis_page(pair[:1], "digits")


def test_a_training_that_diverges_is_still_a_diagnosis() -> None:
    recipe = TASK.recipe.model_copy(update={"epochs": 1, "lr": 1e30})
    one = diagnose("wild", topology(None, None), TASK, recipe, seeds=1)
    assert one.trained is None
    assert one.curves == [[]]
    assert _row(one)["diverged"] == "1"
    assert "wild" in diagnosis_page([one, one], "digits")
