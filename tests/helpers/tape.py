"""A stand-in for a CUDA graph that records ops with the memory they work on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.cost.probe import tensors_in
from nas.network.compat import TorchDispatchMode, storage_key
from nas.training.capture import Computation


class Tape(TorchDispatchMode):
    """A CUDA graph's behaviour on a CPU: recording leaves every number as it was, replaying runs the same ops on the
    same memory, and nothing that Python did in between happens again.
    """

    def __init__(self, breaks_at: str = "") -> None:
        super().__init__()
        self.replays = self.warmed = 0
        self._breaks_at = breaks_at
        self._ops: list[tuple[Any, Any, Any, Any]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        self._made: set[int] = set()

    def warm_up(self, computation: Computation) -> Tensor:
        self.warmed += 1
        return computation()

    def record(self, computation: Computation) -> Tensor:
        try:
            with self:
                return computation()
        finally:
            with torch.no_grad():
                for tensor, value in self._before.values():
                    tensor.copy_(value)

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, results in self._ops:
            for old, new in zip(tensors_in(results), tensors_in(func(*args, **kwargs)), strict=True):
                if storage_key(old) != storage_key(new):  # no view, and not done in place
                    old.copy_(new)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ == self._breaks_at:
            raise RuntimeError("operation not permitted when stream is capturing")
        given = tensors_in((args, kwargs))
        for tensor in given:
            if storage_key(tensor) not in self._made | self._before.keys():
                self._before[storage_key(tensor)] = tensor, tensor.detach().clone()
        results = func(*args, **(kwargs or {}))
        self._made |= {storage_key(tensor) for tensor in tensors_in(results)} - self._before.keys()
        self._ops.append((func, args, kwargs or {}, results))
        return results
