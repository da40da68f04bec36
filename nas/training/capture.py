"""A training step as one CUDA graph: a small network spends its time on launching kernels, and a graph launches all.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

Computation = Callable[[], Tensor]


class StepGraph(Protocol):
    """Records what some computation does on the device, to do it again: the same kernels on the same memory.

    warm    do the computation where it will be recorded
    record  do nothing but remember it; where its result will lie. Raises RuntimeError where that cannot be
    replay  do what was recorded
    """

    replays: int

    def warm_up(self, computation: Computation) -> Tensor: ...

    def record(self, computation: Computation) -> Tensor: ...

    def replay(self) -> None: ...


class CapturedStep:
    """`step`, for steps that differ in the numbers of their tensors alone: recorded after a warm-up, then replayed.

    Every call is one step, and gives what the step itself would have given. What cannot be recorded, because the host
    would wait for the device, goes on step by step.
    """

    WARM_UP_CALLS = 3  # libraries choose their kernels and take their workspace in the first steps

    def __init__(self, step: Callable[..., Tensor], graph: StepGraph, network: nn.Module) -> None:
        self._step, self._graph, self._network = step, graph, network
        self._calls, self._fails = 0, False
        self._read: tuple[Tensor, ...] = ()  # where the graph reads
        self._result: Tensor | None = None  # where it writes

    def __call__(self, *given: Tensor) -> Tensor:
        self._calls += 1
        if self._calls <= self.WARM_UP_CALLS:
            return self._graph.warm_up(lambda: self._step(*given))
        if self._calls == self.WARM_UP_CALLS + 1:
            self._record(given)
        if self._result is None:
            return self._step(*given)
        for place, tensor in zip(self._read, given, strict=True):
            place.copy_(tensor)
        self._graph.replay()
        return self._result.clone()

    def _record(self, given: tuple[Tensor, ...]) -> None:
        """Sets the result's place, if the step can be recorded."""
        self._read = tuple(tensor.clone() for tensor in given)
        try:
            self._result = self._graph.record(lambda: self._step(*self._read))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"no CUDA graph, the training goes on step by step: {error}", stacklevel=2)
            self._network.zero_grad()  # what half a step has left


class CudaGraph:
    """torch.cuda.CUDAGraph; its memory is free when this object is gone.

    torch before 2.12 keeps the memory of a recording that failed until the process ends (pytorch#180395, #190348).
    """

    def __init__(self, device: torch.device) -> None:
        self.replays = 0
        self._device = device
        self._graph = torch.cuda.CUDAGraph()

    def warm_up(self, computation: Computation) -> Tensor:
        here, aside = torch.cuda.current_stream(self._device), _aside(self._device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            result = computation()
        here.wait_stream(aside)
        return result

    def record(self, computation: Computation) -> Tensor:
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # what the warm-up held: a graph has memory of its own
        with torch.cuda.stream(_aside(self._device)):
            self._graph.capture_begin(capture_error_mode="thread_local")  # other threads may be loading data
            try:
                result = computation()
            except BaseException:
                with contextlib.suppress(RuntimeError):
                    self._graph.capture_end()  # says again that it failed
                raise
            self._graph.capture_end()
        return result

    def replay(self) -> None:
        self._graph.replay()
        self.replays += 1


@functools.cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """The stream that records, one for all candidates: cuBLAS keeps a workspace for every stream that it has seen."""
    return torch.cuda.Stream(device)
