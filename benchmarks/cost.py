"""The price of a training is known before it, to a hundredth, in a millisecond.

Claim       The predicted peak of a training step is within 10 % of what torch's own MemTracker finds on fake tensors,
            and of what CUDA's allocator counts on a card; once its parts are known a price takes a twentieth of the
            tracker's time, and that of a topology as the digits space samples them at most 2 ms.
Conditions  Batch 32, SGD with momentum, float32. Both sides price with fake tensors in one process, one after the
            other; the price is the median of 20, after one that learns the parts. Topologies: 1,000 of the digits
            space, drawn after 1,000 others that were priced before; warm is the second time. On a card: the peak of
            real steps above what was there, on eight networks of different kinds.
Ancestry    torch.distributed._tools.mem_tracker.

    python -m benchmarks.cost [--batch 32] [--topologies 1000]
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import bare
from nas.cost import measure
from nas.network import build
from nas.network.compat import FakeTensorMode, memory_tracker
from nas.topology import Topology, references
from nas.training.optimise import OPTIMISERS

NAMES = ("resnet18", "resnet50", "densenet121", "vit_b_16", "unet")
ON_A_CARD = (*NAMES, "preact_resnet110", "densenet_bc100", "highway_conv17")
MIB = 2**20


def seconds(work: Callable[[], Any], times: int = 1) -> tuple[float, Any]:
    """(median seconds, the last result)"""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), result


def batch_of(topology: Topology, size: int) -> Tensor:
    inputs = torch.zeros((size, *topology.input))
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs


def loss(outputs: Tensor) -> Tensor:
    targets = torch.zeros(outputs.shape[:1] + outputs.shape[2:], dtype=torch.int64, device=outputs.device)
    return F.cross_entropy(outputs, targets, label_smoothing=0.1)


def tracked(topology: Topology, size: int) -> int:
    """Peak bytes of a step by torch's tracker, with the momentum there from a step before."""
    with FakeTensorMode():
        network, inputs = build(topology), batch_of(topology, size)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, foreach=True)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        optimiser.zero_grad()
        tracker = memory_tracker()
        tracker.track_external(network, optimiser, inputs)
        with tracker:
            loss(network(inputs)).backward()
        (snapshot,) = tracker.get_tracker_snapshot("peak").values()
        return int(snapshot["Total"])


def allocated(topology: Topology, size: int) -> int:
    """Peak bytes of three real steps on a card."""
    device = torch.device("cuda")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    network = build(topology, device=device).to(memory_format=torch.channels_last)
    optimiser = OPTIMISERS["sgd"](network, bare.recipe())
    inputs, rate = batch_of(topology, size).to(device), torch.tensor(0.1, device=device)
    for step in range(3):
        if step == 1:  # the libraries have their workspaces by now
            torch.cuda.reset_peak_memory_stats()
        loss(network(inputs)).backward()
        optimiser.step(rate)
    return torch.cuda.max_memory_allocated() - before


def drawn(count: int, seed: int) -> list[Topology]:
    """Topologies of the digits space at random. Raises ImportError where pydantic or optuna is not installed."""
    import optuna

    from nas import SearchSpace

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, study = SearchSpace.load("digits"), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [space.sample(study.ask()) for _ in range(count)]


def of_the_space(count: int) -> str:
    """What a price costs, once as many other topologies have one."""
    try:
        known, fresh = drawn(count, 0), drawn(count, 1)
    except ImportError as error:
        return f"a sampled topology was not priced: {error.name} is not installed"
    recipe = bare.recipe()
    for topology in known:
        measure(topology, recipe)
    taken = [1e6 * seconds(functools.partial(measure, topology, recipe))[0] for topology in fresh]
    again = [1e6 * seconds(functools.partial(measure, topology, recipe))[0] for topology in fresh]
    first, warm = statistics.fmean(taken), statistics.fmean(again)
    return f"a sampled topology of the digits space: {first:.0f} µs on average the first time, {warm:.0f} µs warm"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--topologies", type=int, default=1000)
    options = parser.parse_args()
    recipe = bare.recipe(batch_size=options.batch)
    print("| network | predicted, MiB | MemTracker, MiB | ratio | price, ms | tracker, ms | times as fast |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in NAMES:
        topology = references.get(name)
        theirs, expected = seconds(functools.partial(tracked, topology, options.batch))
        measure(topology, recipe)
        ours, cost = seconds(functools.partial(measure, topology, recipe), 20)
        figures = f"{cost.memory / MIB:.0f} | {expected / MIB:.0f} | {cost.memory / expected:.3f}"
        print(f"| {name} | {figures} | {1e3 * ours:.1f} | {1e3 * theirs:.0f} | {theirs / ours:.0f} |", flush=True)

    print(f"\n{of_the_space(options.topologies)}")
    if torch.cuda.is_available():
        on_a_card(options.batch)
    else:
        print("\nno GPU: predicted memory was not compared with a card's")


def on_a_card(batch: int) -> None:
    """Predicted and allocated, of networks of different kinds."""
    recipe = bare.recipe(batch_size=batch)
    print(f"\n| network | predicted, MiB | {torch.cuda.get_device_name()}, MiB | ratio |\n|---|---:|---:|---:|")
    for name in ON_A_CARD:
        cost, peak = measure(references.get(name), recipe), allocated(references.get(name), batch)
        print(f"| {name} | {cost.memory / MIB:.0f} | {peak / MIB:.0f} | {cost.memory / peak:.3f} |", flush=True)


if __name__ == "__main__":
    main()
