"""Where the loop's batches come from: a split that lies on the device, or one that loader workers read from files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nas.errors import TaskError
from nas.tasks.splits import Split, Stream

Batch = tuple[Tensor, Tensor]  # inputs (B, ...), images channels last, and targets (B, ...), on the device


class Batches(Protocol):
    """Batches of a split. `waited`: seconds that the loop has waited for them so far."""

    @property
    def device(self) -> torch.device: ...

    @property
    def waited(self) -> float: ...

    def __len__(self) -> int: ...

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """⌊n / size⌋ batches of `size` samples in an order drawn from `generator`; the rest is left out."""

    def ordered(self, size: int) -> Iterator[Batch]:
        """Every sample once, in batches of at most `size`."""


def batches_of(split: Split | Stream, device: torch.device | str, workers: int = 1) -> Batches:
    """The batches of `split` on the device; `workers` processes read what is streamed."""
    if isinstance(split, Stream):
        return StreamedBatches(split, torch.device(device), workers)
    return ResidentBatches.of(split, device)


@dataclass(frozen=True)
class ResidentBatches:
    """A split that lies on the device."""

    inputs: Tensor
    targets: Tensor
    waited = 0.0

    @classmethod
    def of(cls, split: Split, device: torch.device | str) -> ResidentBatches:
        """The arrays of `split`, copied to the device once; their floats as float32."""
        inputs, targets = _narrow(torch.from_numpy(split.inputs)), _narrow(torch.from_numpy(split.targets))
        return cls(inputs.to(device, memory_format=layout_of(inputs)), targets.to(device))

    @property
    def device(self) -> torch.device:
        return self.targets.device

    def __len__(self) -> int:
        return len(self.targets)

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(self), generator=generator).to(self.device)
        for rows in order[: len(self) // size * size].split(size):
            yield _wide(self.inputs[rows]), _wide(self.targets[rows])

    def ordered(self, size: int) -> Iterator[Batch]:
        for inputs, targets in zip(self.inputs.split(size), self.targets.split(size), strict=True):
            yield _wide(inputs), _wide(targets)


def layout_of(inputs: Tensor) -> torch.memory_format:
    """Channels last for images (n, C, H, W): 1.1 times as fast on a CPU at 8×8 pixels, and what tensor cores read."""
    return torch.channels_last if inputs.ndim == 4 else torch.preserve_format


def _narrow(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _wide(tensor: Tensor) -> Tensor:
    """Whole numbers as torch reads tokens and classes, however narrow they were kept."""
    return tensor if tensor.is_floating_point() else tensor.long()


class StreamedBatches:
    """A split that `workers` processes read, a few batches ahead; memory does not grow with its size.

    The processes live as long as this, over all candidates. Pixels travel as bytes and are standardised on the
    device. A sample that cannot be read is a TaskError of the loop.
    """

    def __init__(self, stream: Stream, device: torch.device, workers: int = 1) -> None:
        self.device: torch.device = device
        self.waited, self._samples = 0.0, len(stream)
        self._batches: list[Sequence[int]] = []  # of the next pass, which the loader's sampler reads
        self._loader: DataLoader[Any] = DataLoader(
            _Read(stream),
            batch_size=None,  # an item is a batch
            sampler=_Rows(self._batches),
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            pin_memory=device.type == "cuda",
        )
        mean, deviation = (torch.tensor(row, device=device)[:, None, None] for row in (stream.mean, stream.deviation))
        self._scale, self._shift = 1 / (255 * deviation), -mean / deviation

    def __len__(self) -> int:
        return self._samples

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(self), generator=generator)
        return self._read(order[: len(self) // size * size].split(size))

    def ordered(self, size: int) -> Iterator[Batch]:
        return self._read(torch.arange(len(self)).split(size))

    def _read(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        self._batches[:] = [rows.tolist() for rows in batches]
        began = time.perf_counter()
        for batch in self._loader:
            if isinstance(batch, str):
                raise TaskError(batch)
            self.waited += time.perf_counter() - began
            yield self._ready(*batch)
            began = time.perf_counter()

    def _ready(self, pixels: Tensor, targets: Tensor) -> Batch:
        pixels, targets = (tensor.to(self.device, non_blocking=True) for tensor in (pixels, targets))
        inputs = pixels.contiguous(memory_format=torch.channels_last).float()
        return inputs * self._scale + self._shift, _wide(targets)


class _Rows:
    """The samples of every batch of a pass."""

    def __init__(self, batches: list[Sequence[int]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Sequence[int]]:
        return iter(tuple(self._batches))

    def __len__(self) -> int:
        return len(self._batches)


class _Read(Dataset[Any]):
    """Rows → their batch; what is wrong with one of them as a word, since an exception loses its line on the way."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __getitem__(self, rows: Sequence[int]) -> Batch | str:
        try:
            samples = [self._stream.read(row) for row in rows]
        except TaskError as error:
            return str(error)
        inputs, targets = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets))
