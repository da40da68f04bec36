"""The device that a part measures: a card, or without one the CPU with stand-ins for what only CUDA has."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from nas.cost.probe import CostTracker
from nas.training.capture import CudaGraph, StepGraph
from tests.helpers.tape import Tape

MIB = 2**20
Row = dict[str, Any]  # of a part's table: column → str, int, float or bool


@dataclass(frozen=True)
class Goal:
    """What a part is to show, and whether it did; None if it could not be measured."""

    text: str
    reached: bool | None


@dataclass(frozen=True)
class Machine:
    """A card, or the CPU that stands in for one.

    card  whether it is a card
    tiny  whether the parts run at sizes that take seconds: it shows that they work, and their figures mean nothing

    A rehearsal is tiny and has no card.
    """

    card: bool
    tiny: bool

    @property
    def device(self) -> torch.device:
        """The device."""
        return torch.device("cuda" if self.card else "cpu")

    def graph(self) -> StepGraph:
        """Return what records a step; without one a tape."""
        return CudaGraph(self.device) if self.card else Tape()

    def synchronise(self) -> None:
        """Wait until the device has done everything."""
        if self.card:
            torch.cuda.synchronize()

    def streams(self, count: int) -> list[torch.cuda.Stream]:
        """Return so many streams; none without one."""
        return [torch.cuda.Stream() for _ in range(count)] if self.card else []

    def peak(self, work: Callable[[], object]) -> int:
        """Return the bytes of tensors at the peak of `work`, above those before; without one a tracker counts."""
        if not self.card:
            with CostTracker(()) as tracker:
                work()
            return int(tracker.peak)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before

    def used(self) -> int:
        """Return the bytes in use on the card by all processes, as its driver says; 0 without one."""
        if not self.card:
            return 0
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]) * MIB

    def allocated(self) -> int:
        """Return the bytes of this process's tensors on the card; 0 without one."""
        return torch.cuda.memory_allocated() if self.card else 0

    def reserved(self) -> int:
        """Return the bytes that torch holds on the card, of tensors or not; 0 without one."""
        return torch.cuda.memory_reserved() if self.card else 0

    def limit(self, size: int | None) -> None:
        """Let torch hold no more than so many bytes on the card; None for all of it."""
        if self.card:
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(1.0 if size is None else min(1.0, size / total))

    def exhaust(self) -> None:
        """Ask for more memory than there is. Raises torch.OutOfMemoryError."""
        if not self.card:
            raise torch.OutOfMemoryError("the stand-in is out of memory")
        torch.empty(2**50, dtype=torch.uint8, device=self.device)

    def describe(self) -> Row:
        """Return what the figures belong to: the card, its driver, the versions, the commit."""
        card = torch.cuda.get_device_name() if self.card else "none: a rehearsal on the CPU"
        facts = {"card": card, "torch": torch.__version__, "CUDA": torch.version.cuda, "commit": _commit()}
        if self.card:
            facts |= {"driver": _driver(), "cuDNN": torch.backends.cudnn.version()}
        return facts


def _commit() -> str:
    """Return the commit of the working tree, with a + if it has changes; ? where git does not say."""
    try:
        call = ["git", "describe", "--always", "--dirty=+"]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "?"


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Multiply float32 as float32: convolutions use TF32 otherwise, whose products have 11 bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def on(stream: torch.cuda.Stream | None) -> AbstractContextManager[Any]:
    """Return a context whose kernels run on the stream; None: where they are."""
    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)


def parallel(work: Sequence[Callable[[], Any]], streams: Sequence[torch.cuda.Stream]) -> list[Any]:
    """Run every piece of work on a stream of its own, between what came before and what comes after; without one,
    without streams, one after the other.
    """
    if not streams:
        return [piece() for piece in work]
    current = torch.cuda.current_stream()
    results = []
    for piece, stream in zip(work, streams, strict=True):
        stream.wait_stream(current)
        with on(stream):
            results.append(piece())
    for stream in streams:
        current.wait_stream(stream)
    return results
