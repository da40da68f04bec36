"""The process of a slot: it imports torch and loads the data once, then trains one candidate after the other.

One step of Tune is one epoch, so that a scheduler can stop a candidate between two epochs. The failure of a candidate
is a result like any other: the process goes on with the next candidate.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import ray
from ray import tune

from nas.errors import CandidateError, OutOfMemory, message_of
from nas.results.records import checked_numbers, checked_records
from nas.searching import gpu
from nas.searching.slots import Machine
from nas.topology import Topology


class CandidateEvaluator(Protocol):
    """Evaluates candidates, one at a time: nas.training.evaluate.Evaluator, a table or a function of results."""

    @property
    def epochs(self) -> float:
        """The number of epochs of the full budget; infinite as long as a function of the user has not returned."""

    @property
    def network(self) -> Any:
        """The last network trained, once its training has ended; None if the evaluator has no networks."""

    @property
    def measured(self) -> dict[str, float]:
        """The measurements of the last training: {seconds, …}."""

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]:
        """Train the topology and yield a record of every epoch as it ends: {epoch, <metric>, loss, seconds, …}.

        Raises CandidateError if the training fails.
        """


@runtime_checkable
class Resumable(CandidateEvaluator, Protocol):
    """A CandidateEvaluator whose trainings can go on from an epoch, in another process or on another machine."""

    def checkpoint(self) -> bytes | None:
        """Return what is needed to go on after the epoch that ended last; None if that is not possible now."""

    def start(self, topology: Topology, *, seed: int, checkpoint: bytes | None = None) -> Iterator[dict[str, Any]]:
        """Train the topology as a CandidateEvaluator does, from where a checkpoint was made.

        Every record has its epoch. A checkpoint that does not fit is ignored: the first one is of epoch 1 then.
        """


def allowed_threads(cores: int) -> int:
    """Return a thread for each core of a slot, but no more than the environment variable OMP_NUM_THREADS allows.

    Ray sets the variable in its processes to the cores of the slot, where the user did not set it.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(cores, int(said)) if said.isdecimal() and int(said) else cores


MakeEvaluator = Callable[..., CandidateEvaluator]  # called with device= and threads= in the process of each slot


class CandidateTrainable(tune.Trainable):
    """Trains one candidate after the other, all with the same number of slots. The result of a step (an epoch) has:

    record      that of the epoch, whose items are items of the result as well; None if the epoch did not end
    end         None if the training goes on; else FULL_BUDGET, OUT_OF_MEMORY, FAILED (for another reason), or
                NO_EVALUATOR (the evaluator cannot be made, so no candidate can be trained on this node)
    reason      why, for every end but FULL_BUDGET
    gpu_memory  of OUT_OF_MEMORY on a GPU: its bytes
    busy        seconds of this step
    device      the node and its GPU, if there is one, by the identifiers of Ray
    place       the same for people: the name of the host
    measured    of FULL_BUDGET: what the evaluator measured
    """

    FULL_BUDGET, OUT_OF_MEMORY, FAILED, NO_EVALUATOR = "full budget", "out of memory", "failed", "no evaluator"

    def setup(
        self, config: dict[str, Any], evaluate: MakeEvaluator | None = None, machine: Machine | None = None
    ) -> None:
        """Make the evaluator and take the first candidate; Ray calls this once in every process."""
        assert evaluate is not None
        assert machine is not None
        self._evaluator: CandidateEvaluator | None = None
        self._epochs: Iterator[dict[str, Any]] = iter(())
        self._setup_error = ""
        gpus = ray.get_gpu_ids()
        self._device = " ".join((ray.get_runtime_context().get_node_id(), *map(str, gpus)))
        self._place = " GPU ".join((socket.gethostname(), *map(str, gpus)))
        threads, memory_limit = allowed_threads(machine.threads(config["slots"])), machine.memory_limit(config["slots"])
        self._make = functools.partial(evaluate, device="cuda" if gpus else "cpu", threads=threads)
        self._memory_limit = memory_limit
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next candidate: {"topology": Topology.to_dict() as JSON, "seed": …, "slots": as before}."""
        getattr(self._epochs, "close", lambda: None)()  # the candidate before may have been stopped early
        if self._evaluator is None:
            self._make_evaluator()
        self._topology = Topology.from_dict(json.loads(new_config["topology"]))
        self._seed, self._epoch = new_config["seed"], 0
        if self._evaluator is not None:
            self._epochs = checked_records(self._evaluator, self._topology, self._seed)
        return True

    def continue_from(self, checkpoint: bytes) -> None:
        """Let the candidate, which has not begun, go on from a checkpoint; without an effect if it cannot."""
        if isinstance(self._evaluator, Resumable):
            self._epochs = checked_records(self._evaluator, self._topology, self._seed, checkpoint)

    def checkpoint(self) -> tuple[int, bytes] | None:
        """Return the number of the epoch that ended last, and a checkpoint after it; None if there is none."""
        if not isinstance(self._evaluator, Resumable):
            return None
        content = self._evaluator.checkpoint()
        return (self._epoch, content) if isinstance(content, bytes) else None

    def _make_evaluator(self) -> None:
        """Make the evaluator; if that fails, it is tried again for the next candidate."""
        try:
            evaluator = self._make()
            if self._memory_limit is not None:
                gpu.limit_memory(self._memory_limit)
            self._evaluator = evaluator
        except Exception as error:  # noqa: BLE001  # whatever it is, the driver says so and tries another node
            self._setup_error = reason_of(error)

    def step(self) -> dict[str, Any]:
        """Train one epoch and return its result (see the class)."""
        began = time.perf_counter()
        result = self._train_epoch()
        done = result["end"] is not None
        more = {"busy": time.perf_counter() - began, "device": self._device, "place": self._place, "done": done}
        return (result["record"] or {}) | result | more

    def _train_epoch(self) -> dict[str, Any]:
        if self._evaluator is None:
            return {"record": None, "end": self.NO_EVALUATOR, "reason": self._setup_error}
        try:
            record = next(self._epochs, None)
            self._epoch = 0 if record is None else record["epoch"]
            full_budget = record is None or record["epoch"] >= self._evaluator.epochs
            if full_budget and record is not None:
                next(self._epochs, None)  # lets the evaluator run to its end
            measured = checked_numbers(self._evaluator.measured) if full_budget else {}
        except Exception as error:  # noqa: BLE001  # a candidate may fail in any way, the process goes on
            if isinstance(error, OutOfMemory | MemoryError):
                reason, memory = message_of(error) or "?", gpu.total_memory()
                return {"record": None, "end": self.OUT_OF_MEMORY, "reason": reason, "gpu_memory": memory}
            return {"record": None, "end": self.FAILED, "reason": reason_of(error)}
        end = {"end": self.FULL_BUDGET, "measured": measured} if full_budget else {"end": None}
        return {"record": record} | end

    def weights(self) -> bytes | None:
        """Return the weights of the trained network as a safetensors file; None if the evaluator has no network."""
        network = None if self._evaluator is None else self._evaluator.network
        if network is None:
            return None
        from safetensors.torch import save

        state = network.state_dict()
        return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})


def reason_of(error: BaseException) -> str:
    """Return an error as one line for the study: its kind, then its message."""
    kind = f"error: {type(error).__name__[:100]}"
    if isinstance(error, CandidateError):
        kind = error.reason
    elif isinstance(error, MemoryError):
        kind = OutOfMemory.reason
    message = message_of(error)
    return f"{kind}: {message}" if message else kind
