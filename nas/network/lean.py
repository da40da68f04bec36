"""`memory: lean`: what is cheap to compute again is not kept for the backward pass.

Between forward and backward a network keeps the inputs of its convolutions and linear maps. An input that came out of
a normalisation, of a ReLU behind one, of a GELU or of a SiLU follows, element by element, from something that is kept
anyway: it is computed again when the backward pass asks for it. A dense layer then keeps the concatenation that it
reads and the output of its bottleneck, and nothing in between. A batch's statistics are kept, so that running means
move once.

Pleiss et al. 2017 (Memory-efficient implementation of DenseNets, arXiv:1707.06990) compute the concatenation again as
well, Chen et al. 2016 (arXiv:1604.06174) whole segments with their convolutions; this costs less time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from nas.network import Network
from nas.network.compat import batch_norm_saved, gelu_saved, layer_norm_saved, silu_saved, storage_key

SMALLEST = torch.finfo(torch.float32).tiny  # an ε that changes no variance; torch refuses 0
Node = Any  # of autograd: what made a tensor, and what it keeps for its own backward pass
Recompute = Callable[[], Tensor]
Key = tuple[Any, ...]


def make_lean(network: nn.Module) -> None:
    """Make every forward pass of `network` keep less for its gradients, which do not change.

    What goes from one part (the stem, a block, the head) to the next is kept as it was: so the price of a network is
    still that of its parts.
    """
    for part in network.parts if isinstance(network, Network) else (network,):
        _keep_less(part)


def _keep_less(part: nn.Module) -> None:
    opened: list[saved_tensors_hooks] = []

    def enter(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        opened.append(lean_hooks(inputs))
        opened[-1].__enter__()

    def leave(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None) -> None:
        opened.pop().__exit__(None, None, None)

    part.register_forward_pre_hook(enter)
    part.register_forward_hook(leave, always_call=True)


class SavedTensor:
    """A value that autograd saved: the tensor, or a function that computes it again."""

    def __init__(self, tensor: Tensor | None) -> None:
        self.tensor = tensor
        self.recompute: Recompute | None = None

    def get(self) -> Tensor:
        """Return the tensor, computed again if it was not kept."""
        if self.tensor is None:
            assert self.recompute is not None
            with torch.no_grad():
                self.tensor = self.recompute()
        return self.tensor


def lean_hooks(inputs: tuple[Tensor, ...]) -> saved_tensors_hooks:
    """Return hooks with which autograd saves SavedTensor; `inputs` are never computed again."""
    keys = {_key(tensor) for tensor in inputs}
    makers = {tensor.grad_fn for tensor in inputs if tensor.grad_fn is not None}
    holding: WeakValueDictionary[Key, SavedTensor] = WeakValueDictionary()  # those that hold a tensor

    def pack(tensor: Tensor) -> SavedTensor:
        key = _key(tensor)
        recompute = None if key in keys else _recompute(tensor, makers)
        saved = holding.get(key)
        if recompute is None:
            if saved is None:
                saved = holding[key] = SavedTensor(tensor)
            return saved
        # a ReLU saves its own result before anybody can know what made it: here it lets go of it
        saved = holding.pop(key, None) or SavedTensor(None)
        saved.tensor, saved.recompute = None, recompute
        return saved

    return saved_tensors_hooks(pack, SavedTensor.get)


def _key(tensor: Tensor) -> Key:
    """Return a key that is equal for tensors at the same place of the same storage."""
    return storage_key(tensor), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


def _recompute(tensor: Tensor, makers: set[Node]) -> Recompute | None:
    """Return a function that computes `tensor` again from its inputs; None where that costs more or is not possible.

    None too where `tensor` is a view or a cast of an input, which one of `makers` made: the price of a part does not
    know what came before it. What this holds of the graph lies before `tensor`: a ReLU's own node, which holds the
    result, would never be freed.
    """
    node, dtype, shape = tensor.grad_fn, tensor.dtype, tensor.shape
    while node is not None and node not in makers and node.name() in VIEWS_AND_CASTS:
        node = node.next_functions[0][0]
    make = None if node is None or node in makers else RECOMPUTED.get(node.name(), _never)(node)
    return None if make is None else lambda: make().to(dtype).reshape(shape)


def _never(node: Node) -> None:
    return None


def _relu(node: Node) -> Recompute | None:
    before = node.next_functions[0][0]
    normalise = None if before is None else NORMS.get(before.name(), _never)(before)
    return None if normalise is None else lambda: F.relu(normalise(), inplace=True)


def _batch_norm(node: Node) -> Recompute | None:
    if node.next_functions[2][0] is None:  # no bias
        return None

    def make() -> Tensor:
        x, weight, bias, mean, scale = batch_norm_saved(node)
        return F.batch_norm(x, mean, scale**-2, weight, bias, eps=SMALLEST)

    return make


def _layer_norm(node: Node) -> Recompute:
    def make() -> Tensor:
        x, weight, bias, mean, scale = layer_norm_saved(node)
        return torch.addcmul(bias, (x - mean).mul_(scale), weight)

    return make


def _gelu(node: Node) -> Recompute:
    def make() -> Tensor:
        x, approximation = gelu_saved(node)
        return F.gelu(x, approximate=approximation)

    return make


def _silu(node: Node) -> Recompute:
    return lambda: F.silu(silu_saved(node))


VIEWS_AND_CASTS = {"ViewBackward0", "UnsafeViewBackward0", "ToCopyBackward0"}
NORMS: dict[str, Callable[[Node], Recompute | None]] = {
    "NativeBatchNormBackward0": _batch_norm,
    "CudnnBatchNormBackward0": _batch_norm,
    "NativeLayerNormBackward0": _layer_norm,
}
RECOMPUTED = {**NORMS, "ReluBackward0": _relu, "GeluBackward0": _gelu, "SiluBackward0": _silu}
