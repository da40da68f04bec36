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
from nas.topology import Topology


class Evaluator(Protocol):
    """What trains candidates, one at a time (nas.evaluate.Evaluator, or any function made into one).

    start     a record of every epoch, as it ends: {epoch, <metric>, loss, seconds, …}; `epochs` of them are the full
              budget; raises CandidateError
    network   the last one trained, once its records are exhausted
    measured  what training took besides time: {…}
    """

    @property
    def epochs(self) -> int: ...

    @property
    def network(self) -> Any: ...

    @property
    def measured(self) -> dict[str, float]: ...

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]: ...


MakeEvaluator = Callable[..., Evaluator]  # (device=, threads=) → Evaluator


class Slot(tune.Trainable):
    """One candidate after the other. A step's result:

    record   what the epoch gave; None where there was none
    end      None to go on, or WHOLE (full budget), FAILED, BROKEN (no evaluator: no candidate can be trained here)
    reason   of FAILED and BROKEN
    busy     seconds spent in this step
    measured what the evaluator measured, at the end
    """

    WHOLE, FAILED, BROKEN = "whole", "failed", "broken"

    def setup(self, config: dict[str, Any], evaluate: MakeEvaluator | None = None, threads: int = 1) -> None:
        assert evaluate is not None
        self._evaluator: Evaluator | None = None
        self._epochs: Iterator[dict[str, Any]] = iter(())
        self._broken = ""
        try:
            self._evaluator = evaluate(device="cuda" if ray.get_gpu_ids() else "cpu", threads=threads)
        except Exception as error:  # noqa: BLE001  # whatever it is, the driver must hear it, once
            self._broken = reason_of(error)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next candidate: {"topology": its dict as JSON, "seed": …}."""
        getattr(self._epochs, "close", lambda: None)()  # the one before may have been stopped early
        if self._evaluator is not None:
            topology = Topology.from_dict(json.loads(new_config["topology"]))
            self._epochs = self._evaluator.start(topology, seed=new_config["seed"])
        return True

    def step(self) -> dict[str, Any]:
        began = time.perf_counter()
        result = self._step()
        done = result["end"] is not None
        return (result["record"] or {}) | result | {"busy": time.perf_counter() - began, "done": done}

    def _step(self) -> dict[str, Any]:
        if self._evaluator is None:
            return {"record": None, "end": self.BROKEN, "reason": self._broken}
        try:
            record = next(self._epochs, None)
            whole = record is None or record.get("epoch", 0) >= self._evaluator.epochs
            if whole and record is not None:
                next(self._epochs, None)  # the evaluator tidies up
        except Exception as error:  # noqa: BLE001  # a candidate may fail in any way, the slot goes on
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
    said = " ".join(str(error).split())[:300]
    if isinstance(error, CandidateError):
        return f"{error.reason}: {said}" if said else error.reason
    if isinstance(error, MemoryError):
        return f"{OutOfMemory.reason}: {said}" if said else OutOfMemory.reason
    return f"error: {type(error).__name__}: {said}" if said else f"error: {type(error).__name__}"
