"""The parts of torch that this package needs although torch keeps them private or does not promise them.

One name each, with the reason why there is no public way. No other file of the package uses a private part of torch,
and tests/network/test_compat.py exercises every name here: where an upgrade of torch changes one, that test fails and
says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = [
    "SAME_FLOPS",
    "FakeTensorMode",
    "TorchDispatchMode",
    "batch_norm_saved",
    "cpu_multiplies_bf16",
    "flop_formula",
    "gelu_saved",
    "layer_norm_saved",
    "memory_tracker",
    "silu_saved",
    "storage_key",
]

# FakeTensorMode makes tensors that have a shape, a data type and a device, but no bytes. torch documents it
# (https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html) but offers it in a private package only. Its
# public relative, the device "meta", does not obey torch.autocast and does not choose the attention kernel of a real
# device.

# TorchDispatchMode sees every operation of a block of code. torch documents it
# (https://docs.pytorch.org/docs/stable/notes/extending.html) but offers it in a private module only. Its public
# relative, torch.overrides.TorchFunctionMode, does not see the operations of a backward pass.

# operations that older versions of torch (2.12, for one) do not count → an operation with the same arguments and FLOPs
SAME_FLOPS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: torch.ops.aten._scaled_dot_product_flash_attention,
}


def flop_formula(op: Any) -> Callable[..., int] | None:
    """Return torch's formula for the FLOPs of the operation `op` (two for a multiply-add), or None if it has none.

    `op` is what a TorchDispatchMode is given; the formula takes its arguments and `out_val`, its result. The module is
    public, the table is not among its public names: FlopCounterMode uses it, but does not say which operations it
    could not count.
    """
    name = op.overloadpacket
    formula: Callable[..., int] | None = flop_registry.get(name) or flop_registry.get(SAME_FLOPS.get(name))
    return formula


def storage_key(tensor: Tensor) -> int:
    """Return a number that is equal for all tensors on the storage of `tensor`, as long as that storage lives.

    torch returns the same Python object for a storage every time, but does not promise it. The public `data_ptr()` of
    a storage is an error for fake tensors, and 0 for all tensors without bytes.
    """
    return id(tensor.untyped_storage())


def cpu_multiplies_bf16() -> bool:
    """Return whether the CPU has instructions that multiply bfloat16 (AVX512_BF16).

    `torch.cpu.get_capabilities` is public, but older versions of torch have the private function alone.
    """
    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return bool(torch.cpu._is_avx512_bf16_supported())


# torch describes attributes `_saved_*` of autograd nodes, but for exploring only
# (https://docs.pytorch.org/docs/stable/notes/autograd.html#saved-tensors). Its public way to keep less for the backward
# pass is torch.utils.checkpoint with create_selective_checkpoint_contexts: it runs all of a block again, so that a
# training step takes 1.2 to 1.3 times as long for resnet18 and densenet121, and 1.4 to 1.5 times for small networks on
# the digits, with as much memory or 1.1 times as much; the running statistics of batch norms move twice.


def batch_norm_saved(node: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return (input, weight, bias, mean, 1 / √(variance + ε)) of the batch norm that the autograd node `node` made.

    The last two are the batch's, not the running ones; all but the input have the shape (C,). The batch norm must have
    a bias: `node.next_functions[2][0]` is not None.
    """
    bias = node.next_functions[2][0].variable
    return node._saved_input, node._saved_weight, bias, node._saved_result1, node._saved_result2


def layer_norm_saved(node: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return (input, weight, bias, mean, 1 / √(variance + ε)) of the layer norm that the autograd node `node` made.

    The last two are those of each row, and can be multiplied with the input as they are.
    """
    return node._saved_input, node._saved_weight, node._saved_bias, node._saved_result1, node._saved_result2


def gelu_saved(node: Any) -> tuple[Tensor, str]:
    """Return (input, approximation: "none" or "tanh") of the GELU that the autograd node `node` made."""
    return node._saved_self, node._saved_approximate


def silu_saved(node: Any) -> Tensor:
    """Return the input of the SiLU that the autograd node `node` made."""
    saved: Tensor = node._saved_self
    return saved


def memory_tracker() -> Any:
    """Return torch's MemTracker, which finds the peak memory of a training step on fake tensors.

    Tests and benchmarks compare `nas.cost` with it. torch has no public tool that does this without a GPU.
    """
    from torch.distributed._tools.mem_tracker import MemTracker  # late: seconds to import

    return MemTracker()
