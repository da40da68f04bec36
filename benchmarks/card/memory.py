"""The memory of a training is known before it: predicted and allocated, and what a process takes besides."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import bare
from benchmarks.card import topologies
from benchmarks.card.machine import MIB, Goal, Machine, Row
from nas.cost import measure
from nas.errors import OutOfMemory
from nas.searching.packing import CONTEXT_BYTES, SAFETY
from nas.tasks.splits import Split, Splits
from nas.topology import Topology
from nas.topology.block import options_of
from nas.topology.vocabulary import STEMS
from nas.training.capture import StepGraph
from nas.training.evaluate import Evaluator

TITLE = "Predicted against allocated memory of a training, MiB"
SECONDS = 150
BATCHES, STEPS, WITHIN = (32, 128, 512), 6, 0.1


def rows(machine: Machine) -> Iterator[Row]:
    """Yield what a process takes, then a row for each network, batch, precision and way of stepping.

    context    what the driver says that the process takes without torch's own memory
    allocated  torch's tensors at the peak, without the data; reserved: what torch took for them from the driver
    """
    yield process(machine)
    batches = (8,) if machine.tiny else BATCHES
    for name, topology in topologies.for_memory(machine.tiny).items():
        for batch, precision, captured in itertools.product(batches, ("float32", "bf16"), (True, False)):
            settings = bare.recipe(epochs=1, batch_size=batch, precision=precision)
            row: Row = {"network": name, "batch": batch, "precision": precision, "captured": captured}
            predicted = measure(topology, settings).memory
            try:
                allocated, reserved = trained(machine, topology, settings, captured)
            except OutOfMemory as error:
                yield row | {"predicted": round(predicted / MIB, 1), "failed": str(error)[:100]}
                continue
            figures = {"predicted": predicted, "allocated": allocated, "reserved": reserved}
            row |= {what: round(size / MIB, 1) for what, size in figures.items()}
            yield row | {"ratio": round(predicted / allocated, 3), "reserved/predicted": round(reserved / predicted, 3)}


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield whether predictions hold, and whether what packing assumes is what a process takes."""
    found = [row for row in rows if "ratio" in row]
    off = [row for row in found if abs(row["ratio"] - 1) > WITHIN]
    worst = max((abs(row["ratio"] - 1) for row in found), default=None)
    text = f"predicted within {WITHIN:.0%} of allocated: {len(found) - len(off)} of {len(found)}"
    yield Goal(f"{text}, at worst {worst:.0%} off" if worst is not None else text, bool(found) and not off)
    context = rows[0]["context"]
    yield Goal(
        f"a process takes no more than the {CONTEXT_BYTES // MIB} MiB that packing assumes ({context})",
        context <= CONTEXT_BYTES / MIB,
    )
    over = [row for row in found if row["reserved/predicted"] > SAFETY and row["reserved"] > 64]
    yield Goal(
        f"torch takes no more than {SAFETY} times the prediction: {len(found) - len(over)} of {len(found)}", not over
    )


class Eager(Evaluator):
    """An evaluator that captures nothing."""

    def _graph(self) -> StepGraph | None:
        return None


class Captured(Evaluator):
    """An evaluator whose graph is that of the machine."""

    machine: Machine

    def _graph(self) -> StepGraph | None:
        return self.machine.graph()


def noise_for(topology: Topology, samples: int) -> Splits:
    """Return splits of random samples that the topology reads, and random classes."""
    rng = np.random.default_rng(0)
    stem, image = topology.stem, topology.head.op == "conv1x1"
    shape = (samples, *topology.input)
    inputs: Any
    if STEMS[stem.op].reads_tokens:
        inputs = rng.integers(0, int(options_of(stem)["vocabulary"]), shape)
    else:
        inputs = rng.standard_normal(shape, np.float32)
    targets = rng.integers(0, topology.outputs, (samples, *(topology.input[1:] if image else ())))
    split = Split(inputs, targets)
    held_out = Split(inputs[: samples // 4], targets[: samples // 4])
    return Splits(split, held_out, held_out)


def evaluator(machine: Machine, topology: Topology, recipe: Any, captured: bool, batches: int = STEPS) -> Evaluator:
    """Return an evaluator of the topology's kind of data, so many batches of it."""
    splits = noise_for(topology, batches * recipe.batch_size)
    task = bare.classification("noise", topology.input, topology.outputs, lambda: splits)
    made = (Captured if captured else Eager)(task, recipe, str(machine.device))
    if isinstance(made, Captured):
        made.machine = machine
    return made


def trained(machine: Machine, topology: Topology, recipe: Any, captured: bool) -> tuple[int, int]:
    """Return the bytes allocated and reserved at the peak of a short training, above the data."""
    trains = evaluator(machine, topology, recipe, captured)
    trains.release()
    held = machine.reserved()
    if not machine.card:
        return machine.peak(lambda: trains.evaluate(topology, seed=0)), 0
    measured = trains.evaluate(topology, seed=0).measured
    reserved = machine.reserved() - held
    trains.release()
    return int(measured["memory"]), reserved


def process(machine: Machine) -> Row:
    """Return what a process of its own takes on the card besides torch's memory: at first, and after trainings."""
    before = machine.used()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=hold, args=(theirs, machine), daemon=True)
    child.start()
    theirs.close()
    row: Row = {"network": "a process"}
    for what in ("context alone", "context"):
        reserved = ours.recv()
        row[what] = round((machine.used() - before - reserved) / MIB)
        ours.send(None)
    child.join()
    row["left behind"] = round((machine.used() - before) / MIB)
    return row


def hold(pipe: Connection, machine: Machine) -> None:
    """Take the card, then train networks in both precisions; report after each what torch holds and wait."""
    import torch

    torch.zeros(1, device=machine.device)
    pipe.send(machine.reserved())
    pipe.recv()
    for number, precision in enumerate(("float32", "bf16")):
        topology = topologies.drawn_chain(number, 8 if machine.tiny else 32)
        recipe = bare.recipe(epochs=1, batch_size=8 if machine.tiny else 128, precision=precision)
        trains = evaluator(machine, topology, recipe, captured=True)
        trains.evaluate(topology, seed=0)
        trains.release()
    pipe.send(machine.reserved())
    pipe.recv()
