"""The training loop: any optimiser on a one-cycle schedule, any batches, the same code on CPU and GPU.

Losses and the counts of a metric are summed on the device, and the host reads them once an epoch. Every step has the
same number of samples and reads its learning rate from a tensor, so that all steps are the same computation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nas.errors import Diverged, TaskError
from nas.network.lean import make_lean
from nas.network.network import set_drop_path
from nas.training.augment import augment
from nas.training.capture import CapturedStep, StepGraph
from nas.training.data import Batches
from nas.training.metrics import LOSSES, METRICS
from nas.training.optimise import one_cycle
from nas.training.state import TrainingState

if TYPE_CHECKING:
    from nas.tasks import Task
    from nas.tasks.recipe import Recipe

EpochRecord = dict[str, float]  # the items of a record are those that `train` names


def train(
    network: nn.Module,
    data: Batches,
    validation: Batches,
    task: Task,
    recipe: Recipe,
    *,
    seed: int,
    graph: StepGraph | None = None,
    state: TrainingState | None = None,
) -> Iterator[EpochRecord]:
    """Train `network` in place and yield a record of every epoch as it ends.

    seed   fixes the order of the samples and their augmentation
    graph  if given, records the step once and replays it
    state  of `network`, from which the training goes on, and which it keeps up to date; by default it begins

    A record has the items `epoch`, which counts from 1; `train_loss` (with label smoothing) and `train_<metric>` over
    the steps of the epoch; `loss` and `<metric>` on the validation split; `seconds` of the epoch, validation included.

    Raises Diverged at the end of an epoch whose loss is not finite, TaskError if there are not enough samples for one
    batch.
    """
    steps = _steps(data, task, recipe)
    rates = one_cycle(recipe, steps * recipe.epochs).to(data.device)
    state = state or TrainingState(network, task, recipe, data.device, seed=seed)
    if recipe.memory == "lean":
        make_lean(network)
    set_drop_path(network, recipe.drop_path)

    def step(inputs: Tensor, targets: Tensor, rate: Tensor) -> Tensor:
        error, tally = _objective(network, inputs, targets, task, recipe, recipe.label_smoothing)
        torch.autograd.backward(error)
        if recipe.grad_clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip, foreach=True)
        state.optimiser.step(rate)
        return tally

    advance = step if graph is None else CapturedStep(step, graph, network)
    for epoch in range(state.epoch, recipe.epochs):
        started = time.perf_counter()
        network.train()
        tallies = []
        for number, (inputs, targets) in enumerate(data.shuffled(recipe.batch_size, state.order), epoch * steps):
            if recipe.augmentation:
                inputs, targets = augment(inputs, targets, recipe, state.draws)
            tallies.append(advance(inputs, targets, rates[number]))
        both = torch.stack((_sum(tallies), _sums_over(network, validation, task, recipe))).tolist()
        trained, validated = (_means(total, task) for total in both)
        _check_finite(epoch + 1, trained["loss"], validated["loss"])
        record = {f"train_{name}": value for name, value in trained.items()} | validated
        state.epoch = epoch + 1
        yield {"epoch": epoch + 1, **record, "seconds": time.perf_counter() - started}


def score(network: nn.Module, data: Batches, task: Task, recipe: Recipe) -> dict[str, float]:
    """Return `loss` (without label smoothing) and `<metric>` of `network` on all of `data`."""
    return _means(_sums_over(network, data, task, recipe).tolist(), task)


@torch.inference_mode()
def _sums_over(network: nn.Module, data: Batches, task: Task, recipe: Recipe) -> Tensor:
    """Return the sums that `_means` reads. Batches are as large as in training, so as to need no more memory."""
    network.eval()
    return _sum([_objective(network, *batch, task, recipe)[1] for batch in data.ordered(recipe.batch_size)])


def _objective(
    network: nn.Module, inputs: Tensor, targets: Tensor, task: Task, recipe: Recipe, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the loss () to minimise, and what `_means` reads: a tensor (size · loss, size, the metric's counts …)."""
    with autocast(inputs.device, recipe):
        outputs = network(inputs)
    outputs = outputs.float()
    error = LOSSES[task.loss](outputs, targets, label_smoothing)
    size = len(targets)
    counts = METRICS[task.metric].count(outputs.detach(), targets)
    return error, torch.cat((error.detach().double()[None] * size, counts.new_full((1,), size), counts))


def _sum(tallies: list[Tensor]) -> Tensor:
    return torch.stack(tallies).sum(0)


def _means(total: list[float], task: Task) -> dict[str, float]:
    """Return the mean loss and the metric, from the sum of what `_objective` returned for the batches."""
    return {"loss": total[0] / total[1], task.metric: METRICS[task.metric].value(total[2:])}


def autocast(device: torch.device, recipe: Recipe) -> AbstractContextManager[None]:
    """Return a context in which operations have the recipe's precision.

    The cache of converted weights is off: every weight is used once in a pass, so that it would only hold copies.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16", cache_enabled=False)


def _check_finite(epoch: int, trained: float, validated: float) -> None:
    """Raise Diverged if a loss is not finite."""
    if not math.isfinite(trained + validated):
        raise Diverged(f"the loss is not finite in epoch {epoch}: {trained:g} in training, {validated:g} in validation")


def _steps(data: Batches, task: Task, recipe: Recipe) -> int:
    """Return the number of steps in an epoch. Raise TaskError if there is none."""
    if len(data) < recipe.batch_size:
        raise TaskError(
            f"batch_size <= {len(data)} must hold, the training samples of task {task.name}, "
            f"but got {recipe.batch_size}"
        )
    return len(data) // recipe.batch_size
