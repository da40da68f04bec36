"""How long a network takes to answer, measured where it is."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from nas.network.samples import sample_inputs
from nas.topology import Topology

WARM_UP_PASSES, MOST_PASSES, MOST_SECONDS = 5, 30, 1.0


@torch.inference_mode()
def measure_latency(network: nn.Module, topology: Topology, batch: int = 1) -> float:
    """Return the seconds of a forward pass of `batch` samples in evaluation mode, on the device of the network.

    The median of up to 30 passes (as many as fit into a second, three at least) after five that warm up; each is
    waited for. Float32, images channels last as in training, with as many threads as torch has now; the values of
    the input do not matter.
    """
    device = next(network.parameters()).device
    inputs = _inputs(topology, batch).to(device)
    training = network.training
    network.eval()
    seconds: list[float] = []
    for _ in range(WARM_UP_PASSES):
        network(inputs)
    while len(seconds) < 3 or (len(seconds) < MOST_PASSES and sum(seconds) < MOST_SECONDS):
        _wait(device)
        began = time.perf_counter()
        network(inputs)
        _wait(device)
        seconds.append(time.perf_counter() - began)
    network.train(training)
    return statistics.median(seconds)


def _inputs(topology: Topology, batch: int) -> torch.Tensor:
    inputs = sample_inputs(topology, batch)
    return inputs.to(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
