"""One candidate from topology to metrics. Knows no Ray: what a search does in its slots, a debugger can do here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from nas.errors import OutOfMemory, TaskError
from nas.network import build
from nas.network.latency import measure_latency
from nas.topology import Topology
from nas.training import malloc
from nas.training.capture import CudaGraph, StepGraph
from nas.training.data import batches_of
from nas.training.loop import EpochRecord, score, train
from nas.training.precision import resolve_precision

if TYPE_CHECKING:
    from nas.tasks import Task
    from nas.tasks.recipe import Recipe

# what torch says, in a RuntimeError, where an allocator other than CUDA's own gives up
NO_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "out of memory")


@dataclass
class TrainingResult:
    """What came of a candidate.

    network   as trained so far; None before the first epoch and where memory ran out
    curve     one record an epoch (`nas.training.loop.train`)
    measured  seconds (training and validation), samples_per_second (training samples over all seconds); on a GPU
              memory: bytes at the peak, above the data, and replayed: the share of the steps that a CUDA graph did,
              0 where none could be captured; of streamed data waited: seconds in which no batch was there; where it
              is asked for latency: seconds of one sample (nas.network.latency)
    """

    network: nn.Module | None = None
    curve: list[EpochRecord] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The last record: the metric and the loss on the validation split, and the same over the last epoch."""
        return {name: value for name, value in self.curve[-1].items() if name not in ("epoch", "seconds")}


class Evaluator:
    """Trains candidates for a task, one at a time. The data is loaded once, onto the device; what is streamed is read
    by as many processes as there are threads.

    Candidates are compared on the validation split; the test split is for `test` alone, once a choice is made.
    With `timed` the latency of what was trained to the end is measured too.
    The same seed gives the same result, bit for bit, on the same machine and number of threads.
    """

    def __init__(
        self, task: Task, recipe: Recipe | None = None, device: str = "cpu", threads: int = 1, *, timed: bool = False
    ) -> None:
        torch.set_num_threads(threads)
        self.task, self.recipe, self.device = (
            task,
            resolve_precision(recipe or task.recipe, device),
            torch.device(device),
        )
        if self.device.type == "cuda":
            _repeatable_cuda()
        else:
            malloc.keep_freed_memory()
        splits = task.load()
        self.data, self.validation = (batches_of(split, device, threads) for split in (splits.train, splits.validation))
        self._test, self._workers, self._timed = splits.test, threads, timed
        self.result = TrainingResult()

    @property
    def epochs(self) -> int:
        """Records of a candidate that is trained to the full budget."""
        return self.recipe.epochs

    @property
    def network(self) -> nn.Module | None:
        return self.result.network

    @property
    def measured(self) -> dict[str, float]:
        return self.result.measured

    def start(self, topology: Topology, *, seed: int) -> Iterator[EpochRecord]:
        """Train `topology` from scratch, a record of every epoch as it ends; what has come of it is in `result`.

        Raises Diverged, OutOfMemory, and TaskError where the topology does not fit the task.
        """
        self._check(topology)
        self.release()
        result, before, graph = self.result, (self._memory_mark(), self._waited), self._graph()
        splits = self.data, self.validation
        try:
            torch.manual_seed(seed)
            result.network = build(topology).to(self.device)
            for record in train(result.network, *splits, self.task, self.recipe, seed=seed, graph=graph):
                result.curve.append(record)
                result.measured = self._measure(result.curve, before, graph)
                yield record
            if self._timed:
                result.measured["latency"] = measure_latency(result.network, topology)
            return
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            said = " ".join(str(error).split())
        del result, graph
        self.release()  # after the handler: the error held the frames, and they what did not fit
        raise OutOfMemory(said)

    def evaluate(
        self, topology: Topology, *, seed: int, report: Callable[[EpochRecord], object] | None = None
    ) -> TrainingResult:
        """Train `topology` to the full budget; `report` hears every epoch's record, and may raise to stop."""
        for record in self.start(topology, seed=seed):
            if report is not None:
                report(record)
        return self.result

    def test(self) -> dict[str, float]:
        """`loss` and `<metric>` of the trained network on the test split. Never a reason to choose it."""
        if self.network is None:
            raise TaskError("a network must be trained before it is tested")
        return score(self.network, batches_of(self._test, self.device, self._workers), self.task, self.recipe)

    def release(self) -> None:
        """Let go of the last candidate, and of the memory that it took."""
        self.result = TrainingResult()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        else:
            malloc.return_freed_memory()

    def _check(self, topology: Topology) -> None:
        fits, given = (self.task.input, self.task.outputs), (topology.input, topology.outputs)
        if fits != given:
            raise TaskError(f"task {self.task.name} has (input, outputs) {fits}, but the topology has {given}")

    def _memory_mark(self) -> int:
        if self.device.type != "cuda":
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    @property
    def _waited(self) -> float:
        return self.data.waited + self.validation.waited

    def _graph(self) -> StepGraph | None:
        return CudaGraph(self.device) if self.device.type == "cuda" else None

    def _measure(
        self, curve: list[EpochRecord], before: tuple[int, float], graph: StepGraph | None
    ) -> dict[str, float]:
        seconds = sum(record["seconds"] for record in curve)
        steps = len(curve) * (len(self.data) // self.recipe.batch_size)
        measured = {"seconds": seconds, "samples_per_second": steps * self.recipe.batch_size / seconds}
        if self.device.type == "cuda":
            measured["memory"] = torch.cuda.max_memory_allocated(self.device) - before[0]
        if graph is not None:
            measured["replayed"] = graph.replays / steps
        if self._waited > before[1]:
            measured["waited"] = self._waited - before[1]
        return measured


def _is_out_of_memory(error: BaseException) -> bool:
    """torch.OutOfMemoryError is a RuntimeError of its own only on GPUs."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(said in str(error) for said in NO_MEMORY)


def _repeatable_cuda() -> None:
    """The same bits from the same seed, where CUDA's libraries have a way to."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # a check of what is read before it is written, at the price of a kernel for every allocation
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
