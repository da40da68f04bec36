"""K candidates of unequal skips in one process and one captured step, their kernels on K streams of one graph, against
one candidate at a time and against a process for each.
"""

from __future__ import annotations

import functools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import bare
from benchmarks.card import topologies
from benchmarks.card.machine import Goal, Machine, Row, parallel
from nas.network import build
from nas.topology import Topology
from nas.training.capture import CapturedStep
from nas.training.evaluate import make_cuda_deterministic
from nas.training.optimise import OPTIMISERS

TITLE = "K unequal candidates in one captured step: candidate-steps a second"
SECONDS = 120
TOGETHER = (1, 2, 8)
WORK: dict[str, dict[str, Any]] = {  # what a candidate is: size, channels, batch, steps to time
    "8×8, batch 128": {"size": 8, "channels": 1, "batch": 128, "steps": 200},
    "32×32, batch 128": {"size": 32, "channels": 3, "batch": 128, "steps": 60},
}
TINY: dict[str, dict[str, Any]] = {"8×8": {"size": 8, "channels": 1, "batch": 4, "steps": 2}}


def rows(machine: Machine) -> Iterator[Row]:
    """Yield for every number of candidates: fused, one after the other in the same process, a process for each."""
    if machine.card:
        make_cuda_deterministic()
    for name, what in (TINY if machine.tiny else WORK).items():
        alone = None
        for count in TOGETHER[:2] if machine.tiny else TOGETHER:
            row: Row = {"candidates": name, "K": count}
            began = time.perf_counter()
            steps = fused(machine, what, count)
            row["fused"] = round(rate(machine, steps, what["steps"]) * count)
            row["to be ready, s"] = round(time.perf_counter() - began, 2)
            del steps
            turns = [fused(machine, what, 1, first=number) for number in range(count)]
            row["in turn"] = round(rate(machine, functools.partial(each, turns), what["steps"]) * count)
            del turns
            row["processes"] = round(in_processes(machine, what, count))
            alone = alone or row["in turn"]
            yield (
                row
                | {"fused, times one": round(row["fused"] / alone, 2)}
                | {"processes, times one": round(row["processes"] / alone, 2)}
            )


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield whether fusing pays over processes."""
    for row in rows:
        if row["K"] == max(other["K"] for other in rows):
            ratio = row["fused"] / row["processes"]
            yield Goal(f"{row['candidates']}, K = {row['K']}: faster than processes ({ratio:.2f} times)", ratio > 1)


def fused(machine: Machine, what: dict[str, Any], count: int, first: int = 0) -> Callable[[], Tensor]:
    """Return a function that makes one step of each of `count` different candidates."""
    chosen = [topologies.drawn_chain(first + n, what["size"], channels=what["channels"]) for n in range(count)]
    steps = [Candidate(machine, topology, what["batch"]) for topology in chosen]
    streams = machine.streams(count) if count > 1 else []

    def step(*batches: Tensor) -> Tensor:
        work = [
            lambda step=step, x=x, y=y: step(x, y)
            for step, x, y in zip(steps, batches[::2], batches[1::2], strict=True)
        ]
        return torch.stack(parallel(work, streams))

    batches = [tensor for candidate in steps for tensor in candidate.batch()]
    captured = CapturedStep(step, machine.graph(), nn.ModuleList(candidate.network for candidate in steps))
    for _ in range(CapturedStep.WARM_UP_CALLS + 2):
        captured(*batches)
    return lambda: captured(*batches)


class Candidate:
    """A network, its optimiser and one step of its training."""

    def __init__(self, machine: Machine, topology: Topology, batch: int) -> None:
        torch.manual_seed(0)
        self.machine, self.shape, self.outputs = machine, (batch, *topology.input), topology.outputs
        self.network = build(topology).to(machine.device).to(memory_format=torch.channels_last).train()
        self.optimiser = OPTIMISERS["sgd"](self.network, bare.recipe())
        self.rate = torch.tensor(0.01, device=machine.device)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return a batch of noise and random classes."""
        inputs = torch.randn(self.shape, device=self.machine.device).contiguous(memory_format=torch.channels_last)
        return inputs, torch.randint(self.outputs, self.shape[:1], device=self.machine.device)

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Make one step and return the loss."""
        bf16 = self.machine.device.type == "cuda"
        with torch.autocast(self.machine.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            outputs = self.network(inputs)
        loss = nn.functional.cross_entropy(outputs.float(), targets)
        torch.autograd.backward(loss)
        self.optimiser.step(self.rate)
        return loss.detach()


def each(turns: Sequence[Callable[[], object]]) -> None:
    """Make one step of each."""
    for turn in turns:
        turn()


def rate(machine: Machine, step: Callable[[], object], steps: int) -> float:
    """Return the calls of `step` a second."""
    machine.synchronise()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    machine.synchronise()
    return steps / (time.perf_counter() - began)


def in_processes(machine: Machine, what: dict[str, Any], count: int) -> float:
    """Return candidate-steps a second of so many processes that step at the same time."""
    context, pipes, children = multiprocessing.get_context("spawn"), [], []
    for number in range(count):
        ours, theirs = multiprocessing.Pipe()
        children.append(context.Process(target=serve, args=(theirs, machine, what, number), daemon=True))
        children[-1].start()
        theirs.close()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send(None)
    for pipe in pipes:
        pipe.recv()
    seconds = time.perf_counter() - began
    for child in children:
        child.join()
    return float(count * what["steps"] / seconds)


def serve(pipe: Connection, machine: Machine, what: dict[str, Any], number: int) -> None:
    """Make the steps of one candidate when told to."""
    if machine.card:
        make_cuda_deterministic()
    step = fused(machine, what, 1, first=number)
    pipe.send(None)
    pipe.recv()
    rate(machine, step, what["steps"])
    pipe.send(None)
