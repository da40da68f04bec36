"""A search in miniature for tests: a space of small chains, and an evaluator whose results, and faults, follow from
the topology's key. No torch.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.errors import Diverged, OutOfMemory
from nas.space import SearchSpace
from nas.topology import Topology


def space(blocks: int = 4, **search: Any) -> SearchSpace:
    """none, add or concat around each of `blocks` blocks: 3^blocks points, as many keys; no baselines, no repeats."""
    return SearchSpace.from_dict(
        {
            "task": "digits",
            "network": {
                "stem": {"op": "conv3x3", "width": 4},
                "stages": [{"blocks": blocks, "op": "basic", "width": 4}],
                "head": "classify",
            },
            "skips": {"kinds": ["none", "add", "concat"]},
            "train": {"epochs": 2},
            "search": {"objectives": ["accuracy", "params"], "baselines": [], "sampler": "random", "repeats": 1}
            | search,
        }
    )


def price(topology: Topology) -> dict[str, int]:
    """A price that costs nothing: memory is 100 times the parameters, which follow from the skips."""
    params = 1000 + sum(100 for block in topology.blocks if block.skips)
    return {"params": params, "flops": 10 * params, "memory": 100 * params}


def accuracy(topology: Topology) -> float:
    return int(topology.key[:8], 16) % 1000 / 1000


def chance(topology: Topology) -> int:
    """0 … 99, as good as random."""
    return int(topology.key[8:], 16) % 100


class Scripted:
    """Reports `accuracy` of the topology after `epochs` epochs of `seconds` each.

    faults  {kind: percent of all topologies}: nan, missing, error, diverged, memory, hang, crash; others are none
    log     a file to which every training adds `begin <key> <process>` and `end <key> <process>`
    """

    network = None

    def __init__(
        self,
        *,
        device: str,
        threads: int,
        epochs: int = 2,
        seconds: float = 0.0,
        faults: dict[str, int] | None = None,
        log: Path | None = None,
    ) -> None:
        self.epochs, self.seconds, self.faults, self.log = epochs, seconds, faults or {}, log
        self.measured: dict[str, float] = {}

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]:
        self._note("begin", topology)
        fault = fault_of(topology, self.faults)
        for epoch in range(1, self.epochs + 1):
            time.sleep(self.seconds)
            record = {"epoch": epoch, "accuracy": accuracy(topology) * epoch / self.epochs, "seconds": self.seconds}
            yield broken(record, fault) if epoch == self.epochs else record
        self.measured = {"seconds": self.seconds * self.epochs}
        self._note("end", topology)

    def _note(self, what: str, topology: Topology) -> None:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{what} {topology.key} {os.getpid()}\n")


class Placed(Scripted):
    """Notes on which GPU each training is and how much of it Ray has set aside, as a line of JSON in a file.

    starved   {key: GPUs}: with less than so much of one the memory runs out in the second epoch
    together  keys: the trainings of these do not end before all of them have begun, for a minute
    """

    def __init__(self, *, starved: dict[str, float], together: Sequence[str], notes: Path, **options: Any) -> None:
        super().__init__(**options)
        self.starved, self.together, self.notes = starved, together, notes

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]:
        import ray

        [gpu] = ray.get_gpu_ids()
        resources = ray.get_runtime_context().get_assigned_resources()
        share = next(amount for name, amount in resources.items() if name.startswith("GPU"))
        began = time.time()
        self._begun(topology.key).touch()
        awaited = self.together if topology.key in self.together else ()
        try:
            for record in super().start(topology, seed=seed):
                while not all(self._begun(key).exists() for key in awaited) and time.time() < began + 60:
                    time.sleep(0.02)
                if record["epoch"] == 2 and share < self.starved.get(topology.key, 0):
                    raise OutOfMemory("tried to allocate 20 GiB")
                yield record
        finally:
            note = {"key": topology.key, "gpu": gpu, "share": share, "process": os.getpid()}
            with self.notes.open("a") as file:
                file.write(json.dumps(note | {"began": began, "ended": time.time()}) + "\n")

    def _begun(self, key: str) -> Path:
        return self.notes.with_name(f"begun {key}")


class Mortal(Scripted):
    """Goes on from checkpoints. The process of each topology dies once, as soon as the search has written one.

    run  the folder of the run
    """

    def __init__(self, *, run: Path, **options: Any) -> None:
        super().__init__(**options)
        self.run = run

    def start(self, topology: Topology, *, seed: int, checkpoint: bytes | None = None) -> Iterator[dict[str, Any]]:
        self.epoch = before = 0 if checkpoint is None else int(checkpoint)
        for record in itertools.islice(super().start(topology, seed=seed), before, None):
            if record["epoch"] > 1:
                self._die(self.run.with_name(f"died {topology.key}"))
            self.epoch = record["epoch"]
            yield record | {"process": os.getpid()}

    def checkpoint(self) -> bytes:
        return str(self.epoch).encode()

    def _die(self, died: Path) -> None:
        patience = time.monotonic() + 2  # seconds: the search asks for a checkpoint only between two epochs
        while not died.exists() and time.monotonic() < patience:
            if list((self.run / "checkpoints").glob("*.checkpoint")):
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)


def fault_of(topology: Topology, faults: dict[str, int]) -> str | None:
    place = chance(topology)
    for kind, percent in faults.items():
        if (place := place - percent) < 0:
            return kind
    return None


def broken(record: dict[str, Any], fault: str | None) -> dict[str, Any]:
    """The record, unless the fault forbids."""
    if fault == "hang":
        time.sleep(3600)
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "error":
        raise ValueError("the dog ate\nthe gradient")
    if fault == "diverged":
        raise Diverged("the loss is not finite in epoch 2")
    if fault == "memory":
        raise OutOfMemory("tried to allocate 20 GiB")
    if fault == "nan":
        return record | {"accuracy": float("nan")}
    if fault == "missing":
        return {name: value for name, value in record.items() if name != "accuracy"}
    return record


class Broken:
    """An evaluator that no slot can make."""

    def __init__(self, *, device: str, threads: int) -> None:
        raise FileNotFoundError("the data is not there")
