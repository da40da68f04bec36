"""Every private part of torch that the package uses still does what we need, and no other file uses one.

Where a test fails after an upgrade of torch, the function of nas/network/compat.py that it names must follow.
"""

from __future__ import annotations

import ast
import gc
import re
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import flop_registry

from nas.network import compat
from nas.network.lean import RECOMPUTED, VIEWS_AND_CASTS

ROOT = Path(__file__).parents[2]
SUSPICIOUS = re.compile(r"\btorch[\w.]*\._|import _|\._cdata|\._saved_|\._schema|\._version")


def private_uses(path: Path) -> list[str]:
    """Return the private parts of torch that the code of a file names; its texts and comments may."""
    text = path.read_text(encoding="utf-8")
    return [use for node in ast.walk(ast.parse(text)) for use in _uses(node)] if SUSPICIOUS.search(text) else []


def _uses(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.Attribute):
        names = [ast.unparse(node)]
        if re.match(r"_(cdata|saved_\w+|schema|version)$", node.attr) and not names[0].startswith("self."):
            return names
    else:
        return []
    return [name for name in names if name.startswith("torch.") and re.search(r"\._[a-z]", name)]


def test_no_other_file_uses_private_parts_of_torch() -> None:
    files = [*(ROOT / "nas").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    found = {str(path.relative_to(ROOT)): private_uses(path) for path in files}
    assert len(found.pop("nas/network/compat.py")) >= 10  # the search finds what is there
    assert {name: uses for name, uses in found.items() if uses} == {}


def test_every_name_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in compat.__all__ if f"compat.{name}" not in text] == []


def test_the_same_flops_are_the_same() -> None:
    """Where torch knows both operations, their formulas agree."""
    shape = (2, 3, 5, 8)
    for op, same in compat.SAME_FLOPS.items():
        known = flop_registry.get(op, flop_registry[same])
        assert known(shape, shape, shape, out_val=shape) == flop_registry[same](shape, shape, shape, out_val=shape) > 0


# ------------------------------------------------------------------------------------------------- fake tensors, modes


def test_fake_tensors_have_no_bytes_and_obey_autocast() -> None:
    with compat.FakeTensorMode():
        rows = torch.empty(2**20, 2**20)  # 4 TiB
        with torch.autocast("cpu", torch.bfloat16):
            product = rows @ torch.empty(2**20, 3)
    assert (product.shape, product.dtype) == ((2**20, 3), torch.bfloat16), "FakeTensorMode"


class Operations(compat.TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


def test_a_dispatch_mode_sees_forward_and_backward() -> None:
    weight = torch.ones(2, 3, requires_grad=True)
    with Operations() as operations:
        (torch.ones(4, 2) @ weight).sum().backward()
    names = [op.overloadpacket.__name__ for op in operations.seen]
    assert names.count("mm") == 2, f"TorchDispatchMode: {names}"


def test_flop_formulas_are_found_by_operation() -> None:
    a, b = torch.ones(4, 2), torch.ones(2, 3)
    formula = compat.flop_formula(torch.ops.aten.mm.default)
    assert formula is not None and formula(a, b, out_val=a @ b) == 2 * 4 * 2 * 3, "flop_formula"
    assert compat.flop_formula(torch.ops.aten.add.Tensor) is None, "flop_formula"


# ------------------------------------------------------------------------------------------------------------ storages


@pytest.mark.parametrize("fake", [False, True])
def test_a_storage_keeps_its_key_while_it_lives(fake: bool) -> None:
    with compat.FakeTensorMode() if fake else torch.no_grad():
        tensor = torch.zeros(6)
        key, view = compat.storage_key(tensor), tensor.view(2, 3)[1:]
        gone: list[bool] = []
        reference = weakref.ref(tensor.untyped_storage(), lambda _: gone.append(True))
        others = [torch.zeros(6) for _ in range(50)]
        gc.collect()
        del tensor
        assert compat.storage_key(view) == key and not gone, "storage_key: the view holds the storage"
        assert key not in {compat.storage_key(other) for other in others}, "storage_key"
        del view
        assert gone == [True] and reference() is None, "storage_key: a weak reference tells when a storage goes"


def test_a_storage_that_autograd_alone_holds_keeps_its_key() -> None:
    x = torch.ones(3, requires_grad=True)
    exponential = x.exp()
    key, total = compat.storage_key(exponential), exponential.sum()
    del exponential  # autograd has saved it
    gc.collect()
    assert compat.storage_key(total.grad_fn.next_functions[0][0]._saved_result) == key, "storage_key"  # type: ignore[union-attr]


# --------------------------------------------------------------------------------------------------------------- a CPU


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="asks Linux")
def test_bfloat16_is_what_the_system_says() -> None:
    flags = re.findall(r"[\w.]+", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    assert compat.cpu_multiplies_bf16() == ("avx512_bf16" in flags), "cpu_multiplies_bf16"


# ----------------------------------------------------------------------------------------------------- autograd's nodes


def node_of(output: Tensor) -> Any:
    """Return what made `output`. The table of nas/network/lean.py must know it by its name."""
    assert output.grad_fn is not None
    assert output.grad_fn.name() in {*RECOMPUTED, *VIEWS_AND_CASTS}, "nas/network/lean.py: names of autograd nodes"
    return output.grad_fn


def test_a_batch_norm_saves_its_input_and_the_statistics_of_the_batch() -> None:
    norm, inputs = nn.BatchNorm2d(3, eps=0.5), torch.randn(4, 3, 5, 5)
    x, weight, bias, mean, scale = compat.batch_norm_saved(node_of(norm(inputs)))
    assert x is inputs or torch.equal(x, inputs), "batch_norm_saved"
    assert weight is norm.weight and bias is norm.bias, "batch_norm_saved"
    variance = inputs.var((0, 2, 3), correction=0)
    assert torch.allclose(mean, inputs.mean((0, 2, 3)), atol=1e-6), "batch_norm_saved"
    assert torch.allclose(scale, (variance + 0.5).rsqrt()), "batch_norm_saved"


def test_a_batch_norm_without_a_bias_is_told_apart() -> None:
    node = node_of(nn.BatchNorm2d(3, affine=False)(torch.randn(4, 3, 5, 5).requires_grad_()))
    assert node.next_functions[2][0] is None, "batch_norm_saved"


def test_a_layer_norm_saves_its_input_and_the_statistics_of_each_row() -> None:
    norm, inputs = nn.LayerNorm(6, eps=0.5), torch.randn(2, 4, 6)
    x, weight, bias, mean, scale = compat.layer_norm_saved(node_of(norm(inputs)))
    assert torch.equal(x, inputs) and weight is norm.weight and bias is norm.bias, "layer_norm_saved"
    assert torch.allclose(mean, inputs.mean(2, keepdim=True), atol=1e-6), "layer_norm_saved"
    variance = inputs.var(2, keepdim=True, correction=0)
    assert torch.allclose(scale, (variance + 0.5).rsqrt()), "layer_norm_saved"


@pytest.mark.parametrize("approximation", ["none", "tanh"])
def test_a_gelu_saves_its_input_and_its_approximation(approximation: str) -> None:
    inputs = torch.randn(5, requires_grad=True)
    x, found = compat.gelu_saved(node_of(F.gelu(inputs, approximate=approximation)))
    assert torch.equal(x, inputs) and found == approximation, "gelu_saved"


def test_a_silu_saves_its_input() -> None:
    inputs = torch.randn(5, requires_grad=True)
    assert torch.equal(compat.silu_saved(node_of(F.silu(inputs))), inputs), "silu_saved"


def test_relu_views_and_casts_are_known_by_their_names() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    for output in (F.relu(x), x.view(12), x.to(torch.bfloat16), F.relu(x * 1, inplace=True)):
        node_of(output)


# -------------------------------------------------------------------------------------------------------- MemTracker


def test_the_memory_tracker_finds_a_peak() -> None:
    with compat.FakeTensorMode():
        layer, inputs = nn.Linear(8, 8, bias=False), torch.empty(16, 8)
        tracker = compat.memory_tracker()
        tracker.track_external(layer, inputs)
        with tracker:
            layer(inputs).sum().backward()
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    weights, batch, outputs, loss = 4 * 8 * 8, 4 * 16 * 8, 4 * 16 * 8, 4
    assert peak["Total"] == weights + batch + outputs + loss, "memory_tracker"
