"""The convolutions that oneDNN, torch's library on a CPU, differentiates wrongly, and how to do without it for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


def onednn_is_safe(network: nn.Module) -> bool:
    """Return whether a CPU may train the network with oneDNN, which torch uses for its convolutions.

    The backward pass of a 1×1 convolution with a stride writes beside its memory where it has fewer input channels than
    a register of the processor has numbers (uxlfoundation/oneDNN#6035): gradients are wrong, or the process dies.
    """
    fewest = 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    return not any(c.kernel_size == (1, 1) and c.stride != (1, 1) and c.in_channels < fewest for c in convolutions)


@contextlib.contextmanager
def safe_onednn(network: nn.Module) -> Iterator[None]:
    """Compute convolutions without oneDNN, which takes longer, where it is not safe for the network."""
    backend: Any = torch.backends.mkldnn  # not `backend.flags`, which sets TF32 as well, with a warning
    before = backend.enabled
    backend.enabled = before and onednn_is_safe(network)
    try:
        yield
    finally:
        backend.enabled = before
