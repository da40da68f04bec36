"""An exported network in other people's hands: features, fine-tuning, layouts, precisions, compilers, wrappers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.network.samples import sample_inputs
from tests.helpers.exported import network
from tests.helpers.topologies import SMALL, TINY

torch.set_num_threads(1)
FAMILIES = [
    *("resnet20", "preact_resnet20", "densenet_bc40", "unet", "vit", "gpt", "highway", "mobilenet_like"),
    *("efficientnet", "regnet_y"),
]
IMAGES = [name for name in FAMILIES if len(SMALL[name].input) == 3]


def gradients(net: nn.Module) -> dict[str, torch.Tensor]:
    """Of every parameter: one that took no part has none, which fails."""
    found = {name: parameter.grad for name, parameter in net.named_parameters()}
    assert None not in found.values()
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_features_and_another_classifier(name: str, tmp_path: Path) -> None:
    """As timm has them: forward = head(forward_features), reset_classifier(7) gives 7 outputs in place of the old."""
    topology = SMALL[name]
    net, x = network(topology, tmp_path), sample_inputs(topology, 2)
    assert net.forward_features(x).shape == (2, *topology.wiring.output.tensor)
    outputs, before = net(x).shape, {key for key, _ in net.named_parameters()}
    net.reset_classifier(7)
    dim = outputs.index(topology.outputs, 1)
    assert net(x).shape == (*outputs[:dim], 7, *outputs[dim + 1 :])
    after = {key for key, _ in net.named_parameters()}
    assert after - before <= {"head.decoder.weight"}  # a tied decoder becomes one of its own


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precisions(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """All of it in that precision, the new classifier too, near what float32 gives."""
    topology = SMALL[name]
    net, x = network(topology, tmp_path).eval(), sample_inputs(topology, 2)
    expected = net(x).detach()
    net, x = net.to(dtype), x.to(dtype) if x.is_floating_point() else x
    found = net(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.1 * float(expected.abs().max()))
    net.reset_classifier(7)
    assert net(x).dtype == dtype


@pytest.mark.parametrize("name", IMAGES)
def test_channels_last(name: str, tmp_path: Path) -> None:
    """Equal in either layout, gradients too; in float64, where batch norms amplify no rounding."""
    net, x = network(SMALL[name], tmp_path).double(), sample_inputs(SMALL[name], 4, dtype=torch.float64)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    expected, found = net(x), last(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)
    for outputs in (expected, found):
        outputs.square().mean().backward()
    torch.testing.assert_close(gradients(last), gradients(net))


@pytest.mark.parametrize("name", ["resnet20", "unet", "gpt"])
def test_mixed_precision(name: str, tmp_path: Path) -> None:
    net, x = network(SMALL[name], tmp_path), sample_inputs(SMALL[name], 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net(x).float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", FAMILIES)
def test_data_parallel(name: str, group: None, tmp_path: Path) -> None:
    """Both wrappers compute what the network does; every parameter takes part, or DDP would wait for its gradient."""
    net, x = network(SMALL[name], tmp_path), sample_inputs(SMALL[name], 2)
    expected = copy.deepcopy(net)
    expected(x).square().mean().backward()
    torch.testing.assert_close(nn.DataParallel(copy.deepcopy(net))(x), copy.deepcopy(net)(x))
    wrapped = nn.parallel.DistributedDataParallel(net)
    for _ in range(2):
        net.zero_grad()
        wrapped(x).square().mean().backward()
    torch.testing.assert_close(gradients(net), gradients(expected))


@pytest.mark.parametrize("name", ["preact_resnet20", "unet", "gpt"])
def test_torch_exports_it(name: str, tmp_path: Path) -> None:
    net, x = network(SMALL[name], tmp_path).eval(), sample_inputs(SMALL[name], 2)
    program = torch.export.export(net, (x,))
    torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_torch_compiles_it(name: str, tmp_path: Path) -> None:
    """In one graph, without a break; equal in eval mode, and the gradients in train mode."""
    net, x = network(TINY[name], tmp_path), sample_inputs(TINY[name], 2)
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled.eval()(x), net.eval()(x), rtol=1e-4, atol=1e-4)
    for module in (net.train(), compiled.train()):
        module(x).square().mean().backward()
    torch.testing.assert_close(gradients(compiled._orig_mod), gradients(net), rtol=1e-4, atol=1e-4)
