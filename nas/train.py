"""The loop: SGD with Nesterov momentum on a one-cycle schedule, the same on CPU and GPU.

The data lies on the device as plain tensors, losses and hits add up there, and the host looks once an epoch.
Every step has the same number of samples and reads its learning rate from a tensor: one step is the same work
as every other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nas.errors import Diverged, TaskError
from nas.metrics import LOSSES, METRICS

if TYPE_CHECKING:
    from nas.recipe import Recipe
    from nas.tasks import Split, Task

Record = dict[str, float]
START, END = 1 / 25, 1 / 250_000  # the schedule's first and last learning rate, as shares of its peak


@dataclass(frozen=True)
class Resident:
    """A split that lies on the device: inputs (n, ...), images channels last, and targets (n, ...)."""

    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, split: Split, device: torch.device | str) -> Resident:
        """The arrays of `split`, copied to the device once."""
        inputs, targets = torch.from_numpy(split.inputs), torch.from_numpy(split.targets)
        return cls(inputs.to(device, memory_format=layout_of(inputs)), targets.to(device))

    def __len__(self) -> int:
        return len(self.targets)

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """⌊n / size⌋ batches of `size` samples in an order drawn from `generator`; the rest is left out."""
        order = torch.randperm(len(self), generator=generator).to(self.targets.device)
        for rows in order[: len(self) // size * size].split(size):
            yield self.inputs[rows], self.targets[rows]

    def ordered(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every sample once, in batches of at most `size`."""
        return zip(self.inputs.split(size), self.targets.split(size), strict=True)


def train(
    network: nn.Module, data: Resident, validation: Resident, task: Task, recipe: Recipe, *, seed: int
) -> Iterator[Record]:
    """Train `network` in place, one record an epoch; `seed` fixes the order of the samples.

    A record has `epoch`; `train_loss` (smoothed) and `train_<metric>` over the epoch's own steps; `loss` and
    `<metric>` on the validation split; `seconds`, what the epoch took, validation included.
    Raises Diverged at the end of an epoch whose loss is not finite, TaskError where no batch can be filled.
    """
    steps = _steps(data, task, recipe)
    loss, metric = LOSSES[task.loss], METRICS[task.metric]
    rates = iter(one_cycle(recipe, steps * recipe.epochs).to(data.targets.device))
    rate = torch.zeros((), device=data.targets.device)
    optimiser = sgd(network, rate, recipe)
    generator = torch.Generator().manual_seed(seed)
    network.to(memory_format=layout_of(data.inputs))
    for epoch in range(1, recipe.epochs + 1):
        started, totals = time.perf_counter(), []
        network.train()
        for inputs, targets in data.shuffled(recipe.batch_size, generator):
            rate.copy_(next(rates))
            with autocast(inputs.device, recipe):
                outputs = network(inputs).float()
            error = loss(outputs, targets, label_smoothing=recipe.label_smoothing)
            error.backward()
            if recipe.grad_clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip, foreach=True)
            optimiser.step()
            optimiser.zero_grad()
            totals.append(_tally(error.detach(), metric.count(outputs.detach(), targets), len(targets)))
        sums = torch.stack((_sum(totals), _evaluated(network, validation, task, recipe))).tolist()
        trained, validated = (_means(total, task) for total in sums)
        if not math.isfinite(trained["loss"] + validated["loss"]):
            raise Diverged(
                f"the loss is not finite in epoch {epoch}: {trained['loss']:g} in training, "
                f"{validated['loss']:g} on the validation split"
            )
        record = {f"train_{name}": value for name, value in trained.items()} | validated
        yield {"epoch": epoch, **record, "seconds": time.perf_counter() - started}


def evaluate(network: nn.Module, data: Resident, task: Task, recipe: Recipe) -> Record:
    """`loss` (not smoothed) and `<metric>` of `network` on all of `data`."""
    return _means(_evaluated(network, data, task, recipe).tolist(), task)


@torch.inference_mode()
def _evaluated(network: nn.Module, data: Resident, task: Task, recipe: Recipe) -> Tensor:
    """The sums that `_means` reads. In batches of the recipe's size, so that it needs no more than training."""
    network.eval()
    totals = []
    for inputs, targets in data.ordered(recipe.batch_size):
        with autocast(inputs.device, recipe):
            outputs = network(inputs).float()
        error = LOSSES[task.loss](outputs, targets)
        totals.append(_tally(error, METRICS[task.metric].count(outputs, targets), len(targets)))
    return _sum(totals)


def _tally(error: Tensor, counts: Tensor, size: int) -> Tensor:
    """(size · mean loss, size, metric's counts …) of one batch."""
    return torch.cat((error.double()[None] * size, counts.new_full((1,), size), counts))


def _sum(totals: list[Tensor]) -> Tensor:
    return torch.stack(totals).sum(0)


def _means(total: list[float], task: Task) -> Record:
    return {"loss": total[0] / total[1], task.metric: METRICS[task.metric].value(total[2:])}


def sgd(network: nn.Module, rate: Tensor, recipe: Recipe) -> torch.optim.SGD:
    """Nesterov momentum in one fused kernel that reads `rate` (); weights decay, norms and biases (1-D) do not.

    He et al. 2019 (bag of tricks, arXiv:1812.01187) for the latter.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


def one_cycle(recipe: Recipe, steps: int) -> Tensor:
    """The learning rate of every step (steps,): a cosine up to lr, then one down to nothing.

    Smith & Topin 2018 (arXiv:1708.07120), with torch's OneCycleLR's shape and constant momentum.
    """
    step = torch.arange(steps, dtype=torch.float64)
    top = max(recipe.warmup * steps - 1, 0.0)
    up = _cosine(START, 1.0, step / max(top, 1e-9))
    down = _cosine(1.0, END, (step - top) / max(steps - 1 - top, 1e-9))
    return (recipe.lr * torch.where(step < top, up, down)).float()


def _cosine(start: float, end: float, progress: Tensor) -> Tensor:
    return end + (start - end) * (1 + torch.cos(math.pi * progress)) / 2


def autocast(device: torch.device, recipe: Recipe) -> AbstractContextManager[None]:
    """The recipe's precision for the operations inside."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


def layout_of(inputs: Tensor) -> torch.memory_format:
    """Channels last for images (n, C, H, W): measured faster on CPU and, with bf16, on GPU."""
    return torch.channels_last if inputs.ndim == 4 else torch.preserve_format


def _steps(data: Resident, task: Task, recipe: Recipe) -> int:
    """Steps an epoch. Raises TaskError where there is none."""
    if len(data) < recipe.batch_size:
        raise TaskError(
            f"batch_size <= {len(data)} must hold, the training samples of task {task.name}, "
            f"but got {recipe.batch_size}"
        )
    return len(data) // recipe.batch_size
