"""oneDNN computes every convolution but those whose gradients it gets wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.network import onednn


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "safe"), [(4, 1, 2, False), (7, 1, 3, False), (16, 1, 2, True)]
)
def test_onednn_is_not_safe_for_a_narrow_strided_1x1_convolution(
    channels: int, kernel: int, stride: int, safe: bool
) -> None:
    network = nn.Sequential(nn.Conv2d(channels, 16, kernel, stride), nn.ReLU())
    assert onednn.onednn_is_safe(network) is safe
    with onednn.safe_onednn(network):
        assert torch.backends.mkldnn.enabled is safe
        network(torch.randn(2, channels, 9, 9)).sum().backward()
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize(("capability", "safe"), [("AVX2", True), ("AVX512", False)])
def test_what_is_narrow_depends_on_the_processor(monkeypatch: pytest.MonkeyPatch, capability: str, safe: bool) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert onednn.onednn_is_safe(nn.Conv2d(8, 16, 1, 2)) is safe


def test_onednn_is_safe_for_every_other_convolution() -> None:
    assert onednn.onednn_is_safe(nn.Sequential(nn.Conv2d(4, 16, 3, 2), nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 1, 2)))
