"""Networks built from topologies cost nothing extra, and half of a DenseNet's activations need not be kept.

Claim       one training step (forward and backward) of our resnet18 and densenet121 takes at most 1.02 of the time
            of torchvision's, and saves at most 1.00 of its activations; with the recipe's `memory: lean` densenet121
            saves at most 0.6 of them and takes at most 1.25 of the time.
Conditions  the same weights, input and batch; float32, channels as they come; the two networks take turns, step by
            step, and the ratio is the median of the paired ratios, so that a busy machine slows both alike.
            Activations are what is alive between forward and backward, weights, the batch and the outputs apart.
Ancestry    torchvision.models, which follow He et al. 2015 and Huang et al. 2017.

    python -m benchmarks.network [--batch 8] [--size 128] [--steps 30]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from torch import Tensor, nn

from nas.cost.probe import CostTracker
from nas.network import build
from nas.network.lean import make_lean
from nas.network.pretrained import from_torchvision
from nas.topology import references

NAMES = ("resnet18", "densenet121")


def pair(name: str, memory: str, device: torch.device) -> tuple[nn.Module, nn.Module]:
    """(ours, torchvision's) with equal weights, in training mode. Raises ImportError where there is no torchvision."""
    import torchvision

    theirs = torchvision.models.get_model(name, weights=None).to(device).train()
    ours = build(references.get(name)).to(device).train()
    ours.load_state_dict(from_torchvision(name, theirs.state_dict()))
    if memory == "lean":
        make_lean(ours)
    return ours, theirs


def step_seconds(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """One forward and backward pass."""
    network.zero_grad(set_to_none=True)
    _synchronise(inputs)
    started = time.perf_counter()
    nn.functional.cross_entropy(network(inputs), targets).backward()
    _synchronise(inputs)
    return time.perf_counter() - started


def saved_bytes(network: nn.Module, inputs: Tensor) -> int:
    """Bytes that a forward pass leaves behind for the backward pass."""
    tracker = CostTracker([*network.parameters(), *network.buffers(), inputs])
    with tracker:
        outputs: Tensor = network(inputs)
        return tracker.live - outputs.nbytes


def _synchronise(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def measure(name: str, memory: str, batch: int, size: int, steps: int) -> tuple[float, float, float, float]:
    """(our milliseconds, theirs, median of the paired ratios, ratio of the saved bytes)"""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ours, theirs = pair(name, memory, device)
    inputs, targets = torch.randn(batch, 3, size, size, device=device), torch.randint(1000, (batch,), device=device)
    saved = saved_bytes(ours, inputs) / saved_bytes(theirs, inputs)
    times = []
    for turn in range(steps + 3):
        first, second = (ours, theirs) if turn % 2 else (theirs, ours)
        seconds = {network: step_seconds(network, inputs, targets) for network in (first, second)}
        times.append((seconds[ours], seconds[theirs]))
    times = times[3:]  # warm
    mine, others = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    return mine, others, statistics.median(a / b for a, b in times), saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    torch.manual_seed(0)
    print("| network | memory | ours, ms | torchvision, ms | time ratio | saved ratio |\n|---|---|---:|---:|---:|---:|")
    for name, memory in itertools.product(NAMES, ("plain", "lean")):
        try:
            mine, others, ratio, saved = measure(name, memory, options.batch, options.size, options.steps)
        except ImportError:
            print(f"| {name} | {memory} | | not installed | | |")
            continue
        print(f"| {name} | {memory} | {mine:.1f} | {others:.1f} | {ratio:.3f} | {saved:.3f} |", flush=True)


if __name__ == "__main__":
    main()
