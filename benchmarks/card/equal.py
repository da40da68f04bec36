"""A card computes what the CPU computes: forward, gradients, a step, and a captured step as an eager one."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import bare
from benchmarks.card import topologies
from benchmarks.card.machine import Goal, Machine, Row, exact_float32
from nas.network import build
from nas.network.lean import make_lean
from nas.network.onednn import safe_onednn
from nas.network.samples import sample_inputs
from nas.topology import Topology
from nas.training.capture import CapturedStep, StepGraph
from nas.training.data import layout_of
from nas.training.evaluate import make_cuda_deterministic
from nas.training.optimise import OPTIMISERS

TITLE = "A card computes what the CPU computes"
SECONDS = 150
BATCH, STEPS = 8, 6  # a captured step is warmed up three times, recorded, and replayed thrice
DOUBLE = 1e-8  # relative error of float64, which differs by the order of its sums alone
TIMES = 4  # what a card's error may be of the CPU's error in the same precision: sums have another order
FLOOR = 1e-4  # what fast algorithms for a convolution lose of float32; TF32 loses more


def rows(machine: Machine) -> Iterator[Row]:
    """Yield a row for each topology: relative errors ‖a − b‖ / ‖b‖ against float64 on the CPU."""
    warnings.filterwarnings("ignore", message=".*deterministic")  # what has no deterministic kernel differs, and shows
    if machine.card:
        make_cuda_deterministic()
    for name, topology in topologies.of_all_families(4 if machine.tiny else 40).items():
        torch.manual_seed(0)
        network, inputs = moved(build(topology)).double().train(), sample_inputs(topology, BATCH, dtype=torch.float64)
        with safe_onednn(network):
            yield (
                {"topology": name}
                | compared(machine, Work(network, inputs))
                | {"captured": captured_as_eager(topology, machine)}
            )


@torch.no_grad()
def moved(network: nn.Module) -> nn.Module:
    """Add noise to the parameters: a layer that starts at 0 would hide what is before it."""
    for parameter in network.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    return network


def compared(machine: Machine, work: Work) -> Row:
    """Return the errors of a step in every precision."""
    reference, row = work.on("cpu", torch.float64), dict[str, Any]()
    for precision, how in PRECISIONS.items():
        with how.setting():
            row[precision] = reference.error(work.on(machine.device, how.dtype, bf16=how.bf16))
            if how.compared:
                row[f"{precision}, CPU"] = reference.error(work.on("cpu", how.dtype, bf16=how.bf16))
    with exact_float32():
        row["lean"] = reference.error(work.on(machine.device, torch.float32, lean=True))
    return row


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield what must hold of every topology."""
    yield Goal(f"float64 within {DOUBLE:g}", all(row["float64"] <= DOUBLE for row in rows))
    for precision in ("float32", "lean", "bf16"):
        cpu = "bf16, CPU" if precision == "bf16" else "float32, CPU"
        over = [row["topology"] for row in rows if not row[precision] <= max(TIMES * row[cpu], FLOOR)]
        text = f"{precision}: the error against float64 is at most {TIMES} times the CPU's"
        yield Goal(text + (f" (not {', '.join(over)})" if over else ""), not over)
    differ = [row["topology"] for row in rows if not row["captured"]]
    text = "a captured step is the eager one, bit for bit"
    yield Goal(text + (f" (not {', '.join(differ)})" if differ else ""), not differ)


@dataclass(frozen=True)
class How:
    """A precision: the type of the weights, whether operations are bf16, and whether the CPU's error is compared."""

    dtype: torch.dtype
    bf16: bool = False
    tf32: bool = False
    compared: bool = True

    def setting(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext() if self.tf32 else exact_float32()


PRECISIONS = {
    "float64": How(torch.float64, compared=False),
    "float32": How(torch.float32),
    "TF32": How(torch.float32, tf32=True, compared=False),
    "bf16": How(torch.float32, bf16=True),
}


@dataclass(frozen=True)
class Result:
    """What one training step computed: outputs, gradients and the state after it, each as a vector of float64."""

    parts: tuple[Tensor, Tensor, Tensor]

    def error(self, other: Result) -> float:
        """Return the largest of the three relative errors of `other` against this."""
        return max(float((b - a).norm() / a.norm()) for a, b in zip(self.parts, other.parts, strict=True))


@dataclass(frozen=True)
class Work:
    """A network and a batch, whose first training step is computed in several ways."""

    network: nn.Module
    inputs: Tensor

    def on(self, device: Any, dtype: torch.dtype, *, bf16: bool = False, lean: bool = False) -> Result:
        """Return the result of the step on the device."""
        network = copy.deepcopy(self.network).to(device, dtype)
        inputs = self.inputs.to(device, dtype if self.inputs.is_floating_point() else self.inputs.dtype)
        if inputs.ndim == 4:
            network, inputs = network.to(memory_format=torch.channels_last), inputs.to(memory_format=layout_of(inputs))
        if lean:
            make_lean(network)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            outputs = network(inputs)
        outputs = outputs if bf16 is False else outputs.float()
        outputs.square().mean().backward()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        optimiser = OPTIMISERS["sgd"](network, bare.recipe())
        optimiser.step(torch.tensor(1e-3, device=device))
        state = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
        return Result((vector((outputs,)), vector(gradients), vector(state)))


def vector(tensors: Iterable[Tensor]) -> Tensor:
    """Return tensors as one float64 vector on the CPU."""
    return torch.cat([tensor.detach().double().flatten().cpu() for tensor in tensors])


def captured_as_eager(topology: Topology, machine: Machine) -> bool:
    """Return whether some captured training steps leave the same bits as eager ones."""
    captured, eager = trained(topology, machine, machine.graph()), trained(topology, machine, None)
    return all(torch.equal(a, b) for a, b in zip(captured, eager, strict=True))


def trained(topology: Topology, machine: Machine, graph: StepGraph | None) -> list[Tensor]:
    """Return the state after some steps on different batches."""
    torch.manual_seed(1)
    network = build(topology).to(machine.device).to(memory_format=torch.channels_last).train()
    optimiser = OPTIMISERS["sgd"](network, bare.recipe())

    def step(inputs: Tensor, rate: Tensor) -> Tensor:
        loss = network(inputs).float().square().mean()
        torch.autograd.backward(loss)
        optimiser.step(rate)
        result: Tensor = loss.detach()
        return result

    advance = step if graph is None else CapturedStep(step, graph, network)
    for number in range(STEPS):
        inputs = sample_inputs(topology, BATCH).to(machine.device)
        advance(inputs, torch.tensor(1e-3 / (number + 1), device=machine.device))
    return [tensor.cpu() for tensor in network.state_dict().values()]
