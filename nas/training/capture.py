"""A training step as one CUDA graph.

Launching the kernels takes most of the time of a small network; a graph launches all of them at once.
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
    """A recording of what a computation does on the device; a replay runs the same kernels on the same memory.

    `replays` is the number of replays so far.
    """

    replays: int

    def warm_up(self, computation: Computation) -> Tensor:
        """Run the computation on the stream that will record it, and return its result."""

    def record(self, computation: Computation) -> Tensor:
        """Record the computation without running it, and return the tensor that a replay will write its result to.

        Raises RuntimeError if the computation cannot be recorded.
        """

    def replay(self) -> None:
        """Run what was recorded."""


class CapturedStep:
    """A training step that is recorded after a few calls and then replayed.

    `step` may be any function of tensors whose calls differ in the values of these tensors only. Every call is one
    step and returns what `step` would return. A step that makes the host wait for the device cannot be recorded: it
    goes on without a graph, after a warning.
    """

    WARM_UP_CALLS = 3  # in the first steps, libraries choose their kernels and allocate their workspace

    def __init__(self, step: Callable[..., Tensor], graph: StepGraph, network: nn.Module) -> None:
        self._step, self._graph, self._network = step, graph, network
        self._calls = 0
        self._read: tuple[Tensor, ...] = ()  # the tensors that the graph reads
        self._result: Tensor | None = None  # the tensor that the graph writes

    def __call__(self, *arguments: Tensor) -> Tensor:
        """Run one step."""
        self._calls += 1
        if self._calls <= self.WARM_UP_CALLS:
            return self._graph.warm_up(lambda: self._step(*arguments))
        if self._calls == self.WARM_UP_CALLS + 1:
            self._record(arguments)
        if self._result is None:
            return self._step(*arguments)
        for place, tensor in zip(self._read, arguments, strict=True):
            place.copy_(tensor)
        self._graph.replay()
        return self._result.clone()

    def _record(self, arguments: tuple[Tensor, ...]) -> None:
        """Record the step and set `_result`, which stays None if the step cannot be recorded."""
        self._read = tuple(tensor.clone() for tensor in arguments)
        try:
            self._result = self._graph.record(lambda: self._step(*self._read))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"no CUDA graph, the training goes on step by step: {error}", stacklevel=2)
            self._network.zero_grad()  # the unfinished step may have left gradients


class CudaGraph:
    """A StepGraph by torch.cuda.CUDAGraph. Its memory is released with this object.

    Versions of torch before 2.12 keep the memory of a failed recording until the process ends (pytorch#180395,
    #190348).
    """

    def __init__(self, device: torch.device) -> None:
        self.replays = 0
        self._device = device
        self._graph = torch.cuda.CUDAGraph()

    def warm_up(self, computation: Computation) -> Tensor:
        """Run the computation on the recording stream, after everything before it, and return its result."""
        current, recording = torch.cuda.current_stream(self._device), _recording_stream(self._device)
        recording.wait_stream(current)
        with torch.cuda.stream(recording):
            result = computation()
        current.wait_stream(recording)
        return result

    def record(self, computation: Computation) -> Tensor:
        """Record the computation, and return the tensor that a replay will write its result to.

        Raises RuntimeError if the computation cannot be recorded, and torch.OutOfMemoryError.
        """
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # the graph has memory of its own and cannot use what the warm-up cached
        with torch.cuda.stream(_recording_stream(self._device)):
            self._graph.capture_begin(capture_error_mode="thread_local")  # other threads may load data meanwhile
            try:
                result = computation()
            except BaseException:
                with contextlib.suppress(RuntimeError):
                    self._graph.capture_end()  # raises as well, after a failed recording
                raise
            self._graph.capture_end()
        return result

    def replay(self) -> None:
        """Run what was recorded."""
        self._graph.replay()
        self.replays += 1


def take_workspaces(device: torch.device) -> None:
    """Let cuBLAS take its workspaces, which stay, before the first candidate: its memory is measured without them.

    There is one for each stream that multiplies matrices.
    """
    square = torch.ones(2, 2, device=device)
    for stream in (torch.cuda.current_stream(device), _recording_stream(device)):
        with torch.cuda.stream(stream):
            square @ square
    torch.cuda.synchronize(device)


@functools.cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that records; it is the same for all candidates, as cuBLAS keeps a workspace per stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call,unused-ignore]
