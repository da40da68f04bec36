"""The loops that people write: PyTorch's tutorial, the same on resident data, Lightning's documentation.

https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html
https://lightning.ai/docs/pytorch/stable/starter/introduction.html
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from nas.network import build
from nas.tasks.splits import Split
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.tasks import Task
    from nas.tasks.recipe import Recipe

Batches = Iterable[tuple[Tensor, Tensor]]
Train = Callable[[Topology, int], float]  # topology, seed → accuracy on the validation split of the trained network


@dataclass(frozen=True)
class Case:
    """What everybody trains on."""

    task: Task
    train: Split
    validation: Split
    recipe: Recipe
    device: torch.device
    threads: int

    @property
    def steps(self) -> int:
        return len(self.train) // self.recipe.batch_size * self.recipe.epochs

    def network(self, topology: Topology, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return build(topology).to(self.device)


def tensors(split: Split) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(split.inputs), torch.from_numpy(split.targets)


def plain(case: Case) -> Train:
    """A PyTorch loop over a DataLoader."""
    train, validation = (TensorDataset(*tensors(split)) for split in (case.train, case.validation))
    batches = DataLoader(train, case.recipe.batch_size, shuffle=True, drop_last=True)
    held_out = DataLoader(validation, case.recipe.batch_size)
    return lambda topology, seed: loop(case, case.network(topology, seed), batches, held_out)


def resident(case: Case, compile: bool = False) -> Train:
    """The same loop over tensors that lie on the device; the forward pass compiled if asked for."""
    inputs, targets = (tensor.to(case.device) for tensor in tensors(case.train))
    size = case.recipe.batch_size
    held_out = list(zip(*(tensor.to(case.device).split(size) for tensor in tensors(case.validation)), strict=True))

    class Shuffled:
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for rows in torch.randperm(len(inputs), device=case.device).split(size)[: len(inputs) // size]:
                yield inputs[rows], targets[rows]

    def train(topology: Topology, seed: int) -> float:
        network = case.network(topology, seed)
        if compile:
            network.compile()
        return loop(case, network, Shuffled(), held_out)

    return train


def loop(case: Case, network: nn.Module, batches: Batches, held_out: Batches) -> float:
    """Train and score as PyTorch's tutorial does, with the recipe's schedule."""
    recipe = case.recipe
    optimiser, schedule = sgd(network, case)
    accuracy = 0.0
    for _ in range(recipe.epochs):
        network.train()
        total = 0.0
        for inputs, targets in batches:
            inputs, targets = inputs.to(case.device), targets.to(case.device)
            loss = F.cross_entropy(network(inputs), targets, label_smoothing=recipe.label_smoothing)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            total += loss.item()
        network.eval()
        right = number = 0.0
        with torch.no_grad():
            for inputs, targets in held_out:
                inputs, targets = inputs.to(case.device), targets.to(case.device)
                outputs = network(inputs)
                total += F.cross_entropy(outputs, targets).item()
                right += (outputs.argmax(1) == targets).sum().item()
                number += len(targets)
        accuracy = right / number
    return accuracy


def sgd(network: nn.Module, case: Case) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    """torch's SGD on torch's one-cycle schedule, by the recipe; norms and biases decay too, as is usual."""
    recipe = case.recipe
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.lr, total_steps=case.steps, pct_start=recipe.warmup, cycle_momentum=False
    )
    return optimiser, schedule


def lightning(case: Case) -> Train:
    """A LightningModule and a Trainer. Raises ImportError where there is no Lightning."""
    import lightning as L

    class Classifier(L.LightningModule):  # type: ignore[misc,unused-ignore]  # it may not be installed
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            inputs, targets = batch
            loss = F.cross_entropy(self.network(inputs), targets, label_smoothing=case.recipe.label_smoothing)
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            inputs, targets = batch
            outputs = self.network(inputs)
            self.log("val_loss", F.cross_entropy(outputs, targets))
            self.log("val_accuracy", (outputs.argmax(1) == targets).float().mean())

        def configure_optimizers(self) -> Any:
            optimiser, schedule = sgd(self, case)
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    train, validation = (TensorDataset(*tensors(split)) for split in (case.train, case.validation))
    batches = DataLoader(train, case.recipe.batch_size, shuffle=True, drop_last=True)
    held_out = DataLoader(validation, case.recipe.batch_size)

    def fit(topology: Topology, seed: int) -> float:
        with tempfile.TemporaryDirectory(prefix="lightning-") as folder:
            trainer = L.Trainer(
                max_epochs=case.recipe.epochs,
                accelerator="cpu" if case.device.type == "cpu" else "auto",
                devices=1,
                default_root_dir=folder,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(Classifier(case.network(topology, seed)), batches, held_out)
        return float(trainer.callback_metrics["val_accuracy"])

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    return fit
