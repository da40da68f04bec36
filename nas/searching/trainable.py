"""The process of a slot: imports torch and loads the data once, then trains one candidate after the other.

An epoch is a step, so that a scheduler can stop a candidate between two. That a candidate fails is a result like any
other: the process goes on with the next one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import ray
from ray import tune

from nas.errors import CandidateError, OutOfMemory
from nas.searching import device
from nas.searching.slots import Machine
from nas.topology import Topology


class Evaluator(Protocol):
    """What trains candidates, one at a time (nas.training.evaluate.Evaluator, or any function made into one).

    start     a record of every epoch, as it ends: {epoch, <metric>, loss, seconds, …}; `epochs` of them are the full
              budget; raises CandidateError
    network   the last one trained, once its records are exhausted
    measured  what training took besides time: {…}
    """

    @property
    def epochs(self) -> float: ...

    @property
    def network(self) -> Any: ...

    @property
    def measured(self) -> dict[str, float]: ...

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]: ...


MakeEvaluator = Callable[..., Evaluator]  # (device=, threads=) → Evaluator


class Slot(tune.Trainable):
    """One candidate after the other, all of the same size. A step's result:

    record   what the epoch gave; None where there was none
    end      None to go on, or WHOLE (full budget), STARVED (out of memory), FAILED,
             BROKEN (no evaluator: no candidate can be trained here)
    reason   of FAILED and BROKEN; what a STARVED one said
    holds    of STARVED, on a GPU: its bytes
    busy     seconds spent in this step
    card     where: the node and its GPU, if there is one
    measured what the evaluator measured, at the end
    """

    WHOLE, STARVED, FAILED, BROKEN = "whole", "starved", "failed", "broken"

    def setup(
        self, config: dict[str, Any], evaluate: MakeEvaluator | None = None, place: Machine | None = None
    ) -> None:
        assert evaluate is not None
        assert place is not None
        self._evaluator: Evaluator | None = None
        self._epochs: Iterator[dict[str, Any]] = iter(())
        self._broken = ""
        gpus, slots = ray.get_gpu_ids(), config["slots"]
        self._card = " ".join((ray.get_runtime_context().get_node_id(), *map(str, gpus)))
        try:
            self._evaluator = evaluate(device="cuda" if gpus else "cpu", threads=place.threads(slots))
            if (allowance := place.allowance(slots)) is not None:
                device.limit(allowance)
        except Exception as error:  # noqa: BLE001  # whatever it is, the driver must hear it, once
            self._broken = reason_of(error)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next candidate: {"topology": its dict as JSON, "seed": …, "slots": as those before it}."""
        getattr(self._epochs, "close", lambda: None)()  # the one before may have been stopped early
        if self._evaluator is not None:
            topology = Topology.from_dict(json.loads(new_config["topology"]))
            self._epochs = self._evaluator.start(topology, seed=new_config["seed"])
        return True

    def step(self) -> dict[str, Any]:
        began = time.perf_counter()
        result = self._step()
        done = result["end"] is not None
        seen = {"busy": time.perf_counter() - began, "card": self._card, "done": done}
        return (result["record"] or {}) | result | seen

    def _step(self) -> dict[str, Any]:
        if self._evaluator is None:
            return {"record": None, "end": self.BROKEN, "reason": self._broken}
        try:
            record = next(self._epochs, None)
            whole = record is None or record.get("epoch", 0) >= self._evaluator.epochs
            if whole and record is not None:
                next(self._epochs, None)  # the evaluator tidies up
        except Exception as error:  # noqa: BLE001  # a candidate may fail in any way, the slot goes on
            if isinstance(error, OutOfMemory | MemoryError):
                return {"record": None, "end": self.STARVED, "reason": _said(error) or "?", "holds": device.holds()}
            return {"record": None, "end": self.FAILED, "reason": reason_of(error)}
        end = {"end": self.WHOLE, "measured": dict(self._evaluator.measured)} if whole else {"end": None}
        return {"record": record} | end

    def weights(self) -> bytes | None:
        """The trained network's, as a safetensors file; None where the evaluator has no network."""
        network = None if self._evaluator is None else self._evaluator.network
        if network is None:
            return None
        from safetensors.torch import save

        state = network.state_dict()
        return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})


def reason_of(error: BaseException) -> str:
    """One line for the record: what kind of failure, and what it said."""
    kind = f"error: {type(error).__name__}"
    if isinstance(error, CandidateError):
        kind = error.reason
    elif isinstance(error, MemoryError):
        kind = OutOfMemory.reason
    return f"{kind}: {said}" if (said := _said(error)) else kind


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
