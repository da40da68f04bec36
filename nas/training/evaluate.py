"""The evaluator: one candidate from its topology to its metrics.

It does not import Ray: what a search runs in its slots can be run here with a debugger.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.errors import OutOfMemory, TaskError, message_of
from nas.network import build
from nas.network.latency import measure_latency
from nas.network.onednn import safe_onednn
from nas.topology import Topology
from nas.training import malloc
from nas.training.capture import CudaGraph, StepGraph, take_workspaces
from nas.training.data import batches_of
from nas.training.loop import EpochRecord, score, train
from nas.training.precision import resolve_precision
from nas.training.state import SavedState, TrainingState

if TYPE_CHECKING:
    from nas.tasks import Task
    from nas.tasks.recipe import Recipe

# parts of the messages of RuntimeErrors by which allocators other than CUDA's report that memory ran out
OUT_OF_MEMORY_MESSAGES = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "out of memory")


@dataclass
class TrainingResult:
    """The result of training a candidate, up to now.

    network   the network; None before it is built and after memory ran out
    curve     a record of every epoch (see `nas.training.loop.train`)
    measured  what the training took:
        seconds             training and validation
        samples_per_second  training samples, over all seconds
        memory              on a GPU: bytes at the peak, without the data
        replayed            on a GPU: the share of the steps that a CUDA graph ran, 0 if the step cannot be recorded
        waited              streamed data only: seconds in which the loop waited for a batch
        latency             if the evaluator measures it: seconds for one sample (see `nas.network.latency`)
    """

    network: nn.Module | None = None
    curve: list[EpochRecord] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metric and the loss of the last epoch, on the validation split and over its training steps."""
        return {name: value for name, value in self.curve[-1].items() if name not in ("epoch", "seconds")}


@dataclass(frozen=True)
class Past:
    """The past of a training, as its checkpoint tells it: which training it is, and its result so far."""

    training: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, int | float]] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)


class Evaluator:
    """Trains candidates for a task, one at a time.

    recipe        that of the task unless given
    threads       of torch on the CPU; as many processes read the data if it is streamed
    with_latency  measure the latency of every network that was trained to the full budget

    The data is loaded once and lies on the device, unless it is streamed. Candidates are compared on the validation
    split; only `test` reads the test split, after the choice. The same seed gives the same result, bit for bit, on the
    same machine with the same number of threads.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe | None = None,
        device: str = "cpu",
        threads: int = 1,
        *,
        with_latency: bool = False,
    ) -> None:
        torch.set_num_threads(threads)
        self.task, self.device = task, torch.device(device)
        self.recipe = resolve_precision(recipe or task.recipe, device)
        if self.device.type == "cuda":
            make_cuda_deterministic()
            take_workspaces(self.device)
        else:
            malloc.keep_freed_memory()
        splits = task.load()
        self.data, self.validation = (batches_of(split, device, threads) for split in (splits.train, splits.validation))
        self._test, self._workers, self._with_latency = splits.test, threads, with_latency
        self.result = TrainingResult()
        self._state: TrainingState | None = None  # of the training that is under way
        self._begun: tuple[Topology, int]  # of that training: the topology and the seed
        self._past = Past()  # of that training, before this process

    @property
    def epochs(self) -> int:
        """Return the number of epochs of the full budget."""
        return self.recipe.epochs

    @property
    def network(self) -> nn.Module | None:
        """Return the network that was trained last."""
        return self.result.network

    @property
    def measured(self) -> dict[str, float]:
        """Return what the last training took (see `TrainingResult`)."""
        return self.result.measured

    def start(self, topology: Topology, *, seed: int, checkpoint: bytes | None = None) -> Iterator[EpochRecord]:
        """Train `topology` from scratch and yield a record of every epoch as it ends; `result` is kept up to date.

        checkpoint  what `checkpoint` returned in a training of the same topology, seed and recipe: the training goes
                    on after that epoch, to the bit as if it had never stopped. One of another training is ignored

        Raises Diverged, OutOfMemory, and TaskError if the topology does not fit the task.
        """
        self._check(topology)
        self.release()
        try:
            yield from self._train(topology, seed, checkpoint)
            return
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            message = message_of(error)
        self.release()  # after the handler, as the error refers to frames that refer to the tensors
        raise OutOfMemory(message)

    def _train(self, topology: Topology, seed: int, checkpoint: bytes | None) -> Iterator[EpochRecord]:
        """Do what `start` says, after the last network is gone."""
        result, graph, before = self.result, self._graph(), (self._memory_before(), self._waited)
        torch.manual_seed(seed)
        network = result.network = build(topology, init=self.recipe.init).to(self.device)
        state = self._state = TrainingState(network, self.task, self.recipe, self.device, seed=seed)
        self._begun, past = (topology, seed), Past()
        if checkpoint is not None:
            past = _continued(state, checkpoint, self._identify(topology, seed))
        self._past = past
        result.curve, result.measured = [*past.curve], {**past.measured}
        splits = self.data, self.validation
        records = train(network, *splits, self.task, self.recipe, seed=seed, graph=graph, state=state)
        for record in _with_safe_onednn(records, network):
            result.curve.append(record)
            result.measured = self._measure(result.curve, before, graph)
            yield record
        self._state = None
        if self._with_latency:
            result.measured["latency"] = measure_latency(network, topology)

    def checkpoint(self) -> bytes | None:
        """Return that from which `start` goes on after the epoch that ended last; None if no training can go on.

        It holds the weights, the momenta, the states of the random generators, and the result so far.
        """
        if self._state is None or not 0 < self._state.epoch < self.epochs:
            return None
        return self._state.save(vars(Past(self._identify(*self._begun), self.result.curve, self.result.measured)))

    def _identify(self, topology: Topology, seed: int) -> dict[str, Any]:
        """Return what tells a training from others, which its checkpoints do not fit."""
        known = {"task": self.task.name, "samples": len(self.data), "topology": topology.key, "seed": seed}
        return known | {"recipe": self.recipe.model_dump(mode="json"), "torch": torch.__version__}

    def evaluate(
        self, topology: Topology, *, seed: int, report: Callable[[EpochRecord], object] | None = None
    ) -> TrainingResult:
        """Train `topology` to the full budget and return the result.

        `report` is called with the record of every epoch; it may raise an error to stop the training. Raises what
        `start` raises.
        """
        for record in self.start(topology, seed=seed):
            if report is not None:
                report(record)
        return self.result

    def test(self) -> dict[str, float]:
        """Return `loss` and `<metric>` of the trained network on the test split. Never choose a network by them.

        Raises TaskError if no network was trained.
        """
        if self.network is None:
            raise TaskError("a network must be trained before it is tested")
        return score(self.network, batches_of(self._test, self.device, self._workers), self.task, self.recipe)

    def release(self) -> None:
        """Drop the last network and its result, and return their memory to the system."""
        self.result, self._state = TrainingResult(), None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        else:
            malloc.return_freed_memory()

    def _check(self, topology: Topology) -> None:
        fits, given = (self.task.input, self.task.outputs), (topology.input, topology.outputs)
        if fits != given:
            raise TaskError(f"task {self.task.name} has (input, outputs) {fits}, but the topology has {given}")

    def _memory_before(self) -> int:
        """Reset the peak of the GPU's memory and return the bytes in use; 0 on a CPU."""
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
        seconds, past = sum(record["seconds"] for record in curve), self._past
        each = len(self.data) // self.recipe.batch_size
        steps, steps_before = len(curve) * each, len(past.curve) * each
        measured = {"seconds": seconds, "samples_per_second": steps * self.recipe.batch_size / seconds}
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) - before[0]
            measured["memory"] = max(peak, past.measured.get("memory", 0))
        if graph is not None:
            measured["replayed"] = (graph.replays + past.measured.get("replayed", 0) * steps_before) / steps
        waited = self._waited - before[1] + past.measured.get("waited", 0)
        return measured | ({"waited": waited} if waited > 0 else {})


def _continued(state: TrainingState, checkpoint: bytes, training: Mapping[str, Any]) -> Past:
    """Bring `state` to that of a checkpoint and return its past; do nothing and return no past if it does not fit.

    training  what the checkpoint must be of
    """
    from pydantic import TypeAdapter, ValidationError  # only here: a training by itself needs torch and NumPy alone

    saved = SavedState.read(checkpoint)
    try:
        past = TypeAdapter(Past).validate_python(None if saved is None else saved.notes)
    except ValidationError:
        return Past()
    numbered = [record.get("epoch") for record in past.curve] == [*range(1, len(past.curve) + 1)]
    timed = all(record.get("seconds", -1) >= 0 for record in past.curve)
    fits = past.training == training and numbered and timed
    return past if saved is not None and fits and state.load(saved, len(past.curve)) else Past()


def _with_safe_onednn(records: Iterator[EpochRecord], network: nn.Module) -> Iterator[EpochRecord]:
    """Yield the records; each epoch sets oneDNN for itself, so that other trainings may run in between."""
    while True:
        with safe_onednn(network):
            record = next(records, None)
        if record is None:
            return
        yield record


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out. On a CPU, torch raises a RuntimeError that only its message tells apart."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(part in str(error) for part in OUT_OF_MEMORY_MESSAGES)


def make_cuda_deterministic() -> None:
    """Make results depend on the seed alone, as far as CUDA's libraries can: a warning names what cannot."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling is a check for reads of memory that was never written; it would cost a kernel for every allocation
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
