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
    rates = one_cycle(recipe, steps * recipe.epochs).to(data.targets.device)
    optimiser = Sgd(network, recipe)
    generator = torch.Generator().manual_seed(seed)
    network.to(memory_format=layout_of(data.inputs))
    for epoch in range(recipe.epochs):
        started = time.perf_counter()
        network.train()
        tallies = []
        for step, (inputs, targets) in enumerate(data.shuffled(recipe.batch_size, generator), epoch * steps):
            error, tally = _objective(network, inputs, targets, task, recipe, recipe.label_smoothing)
            error.backward()
            if recipe.grad_clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip, foreach=True)
            optimiser.step(rates[step])
            tallies.append(tally)
        both = torch.stack((_total(tallies), _score(network, validation, task, recipe))).tolist()
        trained, validated = (_means(total, task) for total in both)
        _check_finite(epoch + 1, trained["loss"], validated["loss"])
        record = {f"train_{name}": value for name, value in trained.items()} | validated
        yield {"epoch": epoch + 1, **record, "seconds": time.perf_counter() - started}


def evaluate(network: nn.Module, data: Resident, task: Task, recipe: Recipe) -> Record:
    """`loss` (not smoothed) and `<metric>` of `network` on all of `data`."""
    return _means(_score(network, data, task, recipe).tolist(), task)


@torch.inference_mode()
def _score(network: nn.Module, data: Resident, task: Task, recipe: Recipe) -> Tensor:
    """The sums that `_means` reads. Batches are the recipe's, so that this needs no more memory than training."""
    network.eval()
    return _total([_objective(network, *batch, task, recipe)[1] for batch in data.ordered(recipe.batch_size)])


def _objective(
    network: nn.Module, inputs: Tensor, targets: Tensor, task: Task, recipe: Recipe, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The loss () to minimise, and what `_means` needs: (size · loss, size, the metric's counts …)."""
    with autocast(inputs.device, recipe):
        outputs = network(inputs)
    outputs = outputs.float()
    error = LOSSES[task.loss](outputs, targets, label_smoothing)
    size = len(targets)
    counts = METRICS[task.metric].count(outputs.detach(), targets)
    return error, torch.cat((error.detach().double()[None] * size, counts.new_full((1,), size), counts))


def _total(tallies: list[Tensor]) -> Tensor:
    return torch.stack(tallies).sum(0)


def _means(total: list[float], task: Task) -> Record:
    return {"loss": total[0] / total[1], task.metric: METRICS[task.metric].value(total[2:])}


class Sgd:
    """v ← μv + g + λw, w ← w − lr·(g + λw + μv): SGD with Nesterov momentum in one fused kernel.

    torch.optim.SGD's update, to the bit. That class would import torch's compiler, which costs every process of a
    search four seconds. Norms and biases (1-D) do not decay (He et al. 2019, arXiv:1812.01187).
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._momentum = recipe.momentum
        weights: list[Tensor] = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
        others: list[Tensor] = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
        self._groups = [
            (group, [torch.zeros_like(p) for p in group] if recipe.momentum else [], decay)
            for group, decay in ((weights, recipe.weight_decay), (others, 0.0))
            if group
        ]

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """One update with the learning rate `rate` (), read on the device; lets go of the gradients."""
        for parameters, velocities, decay in self._groups:
            torch._fused_sgd_(
                parameters,
                [p.grad for p in parameters],  # type: ignore[misc]  # every parameter has one by now
                velocities,
                weight_decay=decay,
                momentum=self._momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self._momentum > 0,
                maximize=False,
                is_first_step=False,
            )
            for p in parameters:
                p.grad = None


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
    """The recipe's precision for the ops inside. Every weight is read once a pass: a cache would only hold copies."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16", cache_enabled=False)


def layout_of(inputs: Tensor) -> torch.memory_format:
    """Channels last for images (n, C, H, W): 1.1 times as fast on a CPU at 8×8 pixels, and what tensor cores read."""
    return torch.channels_last if inputs.ndim == 4 else torch.preserve_format


def _check_finite(epoch: int, trained: float, validated: float) -> None:
    """Raises Diverged."""
    if not math.isfinite(trained + validated):
        raise Diverged(f"the loss is not finite in epoch {epoch}: {trained:g} in training, {validated:g} in validation")


def _steps(data: Resident, task: Task, recipe: Recipe) -> int:
    """Steps an epoch. Raises TaskError where there is none."""
    if len(data) < recipe.batch_size:
        raise TaskError(
            f"batch_size <= {len(data)} must hold, the training samples of task {task.name}, "
            f"but got {recipe.batch_size}"
        )
    return len(data) // recipe.batch_size
