"""The faults of a card, for real: each is the candidate's own, and the next candidate trains as if nothing had been."""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import nn

from benchmarks import bare
from benchmarks.card import topologies
from benchmarks.card.machine import MIB, Goal, Machine, Row
from benchmarks.card.memory import evaluator
from nas.errors import Diverged, OutOfMemory
from nas.training.capture import CapturedStep
from nas.training.evaluate import Evaluator
from tests.helpers.tape import Tape

TITLE = "Faults of a card"
SECONDS = 90
TOPOLOGY = topologies.drawn_chain(0, 8)


def rows(machine: Machine) -> Iterator[Row]:
    """Yield for each fault what it was recorded as, what it left on the card, and whether the next candidate trains."""
    for name, fault in FAULTS.items():
        trains = evaluator(machine, TOPOLOGY, recipe(machine), captured=not name.endswith("eager"))
        expected = trains.evaluate(TOPOLOGY, seed=1).metrics
        trains.release()
        before, began = machine.allocated(), time.perf_counter()
        outcome = fault(machine, trains)
        trains.release()
        row: Row = {"fault": name, "recorded as": outcome, "left, MiB": round((machine.allocated() - before) / MIB, 2)}
        after = trains.evaluate(TOPOLOGY, seed=1).metrics
        trains.release()
        yield row | {"next is the same": after == expected, "seconds": round(time.perf_counter() - began, 2)}


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield what must hold of every fault."""
    for row in rows:
        holds = row["recorded as"] == EXPECTED[row["fault"]] and row["next is the same"] and row["left, MiB"] <= 1
        yield Goal(f"{row['fault']}: {EXPECTED[row['fault']]}, nothing left, the next candidate the same", holds)


def recipe(machine: Machine, **settings: Any) -> Any:
    """Return a recipe of two epochs of six steps."""
    return bare.recipe(epochs=2, batch_size=8 if machine.tiny else 128, **settings)


def in_step(number: int, act: Callable[[], object]) -> Callable[[nn.Module, Any], None]:
    """Return a forward pre-hook that acts in the training pass of this number, which counts from 1."""
    passes = 0

    def hook(module: nn.Module, inputs: Any) -> None:
        nonlocal passes
        passes += module.training
        if passes == number and module.training:
            act()

    return hook


def with_hook(trains: Evaluator, hook: Callable[[nn.Module, Any], None]) -> str:
    """Train with the hook on the network; return what an error was recorded as."""

    def of_the_network(module: nn.Module, inputs: Any) -> None:
        if module is trains.network:
            hook(module, inputs)

    handle = nn.modules.module.register_module_forward_pre_hook(of_the_network)
    try:
        trains.evaluate(TOPOLOGY, seed=0)
    except (OutOfMemory, Diverged) as error:
        return error.reason
    finally:
        handle.remove()
    return "trained"


def out_of_memory(step: int) -> Callable[[Machine, Evaluator], str]:
    """Return a fault: in this step, something asks for more memory than the card has."""

    def fault(machine: Machine, trains: Evaluator) -> str:
        return with_hook(trains, in_step(step, machine.exhaust))

    return fault


def diverging(machine: Machine, trains: Evaluator) -> str:
    """Train in bf16 with a learning rate at which the loss is not a number."""
    wild = evaluator(machine, TOPOLOGY, recipe(machine, lr=1e30, precision="bf16"), captured=True)
    try:
        wild.evaluate(TOPOLOGY, seed=0)
    except Diverged as error:
        return error.reason
    return "trained"


def killed(machine: Machine, trains: Evaluator) -> str:
    """Kill a process that holds the card; return whether the driver has its memory back within ten seconds."""
    before = machine.used()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=hold, args=(theirs, machine), daemon=True)
    child.start()
    theirs.close()
    ours.recv()
    held = machine.used() - before
    child.kill()
    child.join()
    for _ in range(100):
        if machine.used() - before <= 16 * MIB:
            return "released" if held > 0 or not machine.card else "it held nothing"
        time.sleep(0.1)
    return f"{(machine.used() - before) // MIB} MiB are held"


def hold(pipe: Connection, machine: Machine) -> None:
    """Train, hold a GiB of the card and wait to be killed."""
    trains = evaluator(machine, TOPOLOGY, recipe(machine), captured=True)
    trains.evaluate(TOPOLOGY, seed=0)
    held = torch.zeros(2**28 if machine.card else 1, device=machine.device)
    machine.synchronise()
    pipe.send(held.numel())
    pipe.recv()


def waiting(machine: Machine, trains: Evaluator) -> str:
    """Train with a step that makes the host wait, which a graph cannot record: it goes on eagerly, to the same bits."""
    weights = []
    for captured in (True, False):
        made = evaluator(machine, TOPOLOGY, recipe(machine), captured)
        if captured and not machine.card:
            made.machine = Breaks(card=False, tiny=True)  # type: ignore[attr-defined]
        network: list[nn.Module] = []

        def wait(module: nn.Module, inputs: Any, made: Evaluator = made, seen: list[nn.Module] = network) -> None:
            seen[:] = [module]
            if float(inputs[0].flatten()[0]) == 1e9:
                raise AssertionError("noise is small")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with_hook(made, wait)
        if captured and not any("no CUDA graph" in str(warning.message) for warning in caught):
            return "it was captured"
        weights.append([tensor.clone() for tensor in network[0].state_dict().values()])
    same = all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    return "trained eagerly" if same else "trained to other weights"


class Breaks(Machine):
    """A stand-in whose graph cannot record that the host waits."""

    def graph(self) -> Tape:
        return Tape("_local_scalar_dense")


CAPTURE = CapturedStep.WARM_UP_CALLS + 1
FAULTS: dict[str, Callable[[Machine, Evaluator], str]] = {
    "out of memory in the middle of an epoch, eager": out_of_memory(4),
    "out of memory while a step is recorded": out_of_memory(CAPTURE),
    "not a number in bf16": diverging,
    "a process killed while it holds the card": killed,
    "a capture that fails": waiting,
}
EXPECTED = dict(zip(FAULTS, [OutOfMemory.reason] * 2 + [Diverged.reason, "released", "trained eagerly"], strict=True))
