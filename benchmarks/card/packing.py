"""Several candidates share a card: candidates a minute of 1, 2, 4 and 8 processes, with and without MPS."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import bare
from benchmarks.card import topologies
from benchmarks.card.machine import Goal, Machine, Row
from benchmarks.card.memory import evaluator

TITLE = "Candidates that share a card"
SECONDS = 200
PROCESSES = (1, 2, 4, 8)
WORK: dict[str, dict[str, Any]] = {  # what a candidate is: size, channels, batch, batches and epochs of its data
    "8×8, batch 128": {"size": 8, "channels": 1, "batch": 128, "batches": 8, "epochs": 8},
    "32×32, batch 128": {"size": 32, "channels": 3, "batch": 128, "batches": 20, "epochs": 4},
}
TINY: dict[str, dict[str, Any]] = {"8×8": {"size": 8, "channels": 1, "batch": 4, "batches": 5, "epochs": 1}}


def rows(machine: Machine) -> Iterator[Row]:
    """Yield the rates for each number of processes."""
    work = TINY if machine.tiny else WORK
    each = 1 if machine.tiny else 6
    for mps in (False, True):
        with served(mps and machine.card) as there:
            if mps and not there:
                yield {"candidates": "MPS", "left out": "not available"}
                continue
            for name, what in work.items():
                alone = None
                for processes in PROCESSES[:2] if machine.tiny else PROCESSES:
                    rate = together(machine, what, processes, each)
                    alone = alone or rate
                    row: Row = {"candidates": name, "MPS": mps, "processes": processes, "a minute": round(rate, 1)}
                    yield row | {"times one": round(rate / alone, 2)}


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield whether sharing pays."""
    for name in dict.fromkeys(row["candidates"] for row in rows if "processes" in row):
        best = max(row["times one"] for row in rows if row["candidates"] == name and "times one" in row)
        yield Goal(f"{name}: at least 3 times the candidates of one at a time ({best})", best >= 3)


@contextlib.contextmanager
def served(mps: bool) -> Iterator[bool]:
    """Start the server of MPS in a folder of its own, for the processes that start in this context, if asked for."""
    program = shutil.which("nvidia-cuda-mps-control")
    if not mps or program is None:
        yield False
        return
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        os.environ |= places
        try:
            yield subprocess.run([program, "-d"], capture_output=True, timeout=20).returncode == 0
        finally:
            subprocess.run([program], input=b"quit\n", capture_output=True, timeout=20)
            for name in places:
                del os.environ[name]


def together(machine: Machine, what: dict[str, Any], processes: int, each: int) -> float:
    """Return the candidates a minute of so many processes, from the first candidate's start to the last one's end."""
    context, pipes, children = multiprocessing.get_context("spawn"), [], []
    for number in range(processes):
        ours, theirs = multiprocessing.Pipe()
        children.append(context.Process(target=train, args=(theirs, machine, what, number, each), daemon=True))
        children[-1].start()
        theirs.close()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()  # it is warm
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send(None)
    for pipe in pipes:
        pipe.recv()
    seconds = time.perf_counter() - began
    for child in children:
        child.join()
    return 60 * processes * each / seconds


def train(pipe: Connection, machine: Machine, what: dict[str, Any], number: int, each: int) -> None:
    """Train candidates when told to, after one that does not count."""
    precision = "bf16" if machine.card else "float32"
    recipe = bare.recipe(epochs=what["epochs"], batch_size=what["batch"], precision=precision)
    first = topologies.drawn_chain(0, what["size"], channels=what["channels"])
    trains = evaluator(machine, first, recipe, captured=True, batches=what["batches"])
    trains.evaluate(first, seed=0)
    pipe.send(None)
    pipe.recv()
    for place in range(each):
        chosen = topologies.drawn_chain(place, what["size"], channels=what["channels"])
        trains.evaluate(chosen, seed=number)
    pipe.send(None)
