"""The state of a training between two epochs, as bytes from which it goes on to the bit as if it had never stopped.

The bytes are a safetensors file: to read it runs no code. It holds the weights and buffers of the network, the tensors
of the optimiser, the states of all random generators, and notes. The learning rates follow from the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from nas.training.optimise import OPTIMISERS

if TYPE_CHECKING:
    from nas.tasks import Task
    from nas.tasks.recipe import Recipe

NOTES = "notes"  # the name of the notes among the tensors: JSON in UTF-8


@dataclass(frozen=True)
class SavedState:
    """Holds what `TrainingState.save` wrote: tensors by name, and notes."""

    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any]

    @classmethod
    def read(cls, content: bytes) -> SavedState | None:
        """Return what the bytes hold; None if they are no saved state."""
        try:
            tensors = load(content)
            notes = json.loads(tensors.pop(NOTES).numpy().tobytes())
        except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError):  # RecursionError is a RuntimeError
            return None
        return cls(tensors, notes) if isinstance(notes, dict) else None


class TrainingState:
    """Holds what a training takes from one epoch to the next.

    network    is brought to the memory format in which it is trained
    optimiser  holds the momenta
    order      the source of the order of the samples; on the CPU, fixed by the seed
    draws      the source of their augmentation; on the device, fixed by the seed
    epoch      how many epochs have ended
    """

    def __init__(
        self, network: nn.Module, task: Task, recipe: Recipe, device: torch.device | str, *, seed: int
    ) -> None:
        if len(task.input) == 3:
            network.to(memory_format=torch.channels_last)
        self.network, self.device = network, torch.device(device)
        self.optimiser = OPTIMISERS[recipe.optimizer](network, recipe)
        self.order, self.draws = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
        self.epoch = 0

    def save(self, notes: Mapping[str, Any]) -> bytes:
        """Return the state as bytes, with notes, which are JSON."""
        contiguous = torch.contiguous_format
        own = self._tensors().items()
        tensors = {name: tensor.to("cpu", copy=True, memory_format=contiguous) for name, tensor in own}
        content = torch.frombuffer(bytearray(json.dumps(notes), "utf-8"), dtype=torch.uint8)
        return save({**tensors, **self._randomness(), NOTES: content})

    def load(self, saved: SavedState, epoch: int) -> bool:
        """Go on after an epoch with what was saved then; return False, and change nothing, if it does not fit.

        Every tensor is copied into the one that is there, so that memory formats and hooks stay as they are.
        """
        tensors, randomness = self._tensors(), self._randomness()
        own = tensors | randomness
        if saved.tensors.keys() != own.keys() or not all(_alike(saved.tensors[name], own[name]) for name in own):
            return False
        try:
            for name in randomness:  # before anything is changed, as a generator refuses what cannot be its state
                torch.Generator(self.device if name in ("draws", "device") else "cpu").set_state(saved.tensors[name])
        except RuntimeError:
            return False
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(saved.tensors[name])
        self.order.set_state(saved.tensors["order"])
        self.draws.set_state(saved.tensors["draws"])
        torch.set_rng_state(saved.tensors["host"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(saved.tensors["device"], self.device)
        self.epoch = epoch
        return True

    def _tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the network and of the optimiser themselves, by name."""
        weights = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return weights | {f"optimiser.{index}": tensor for index, tensor in enumerate(self.optimiser.tensors())}

    def _randomness(self) -> dict[str, Tensor]:
        """Return the states of the generators: `order`, `draws`, and those of torch, which a dropout draws from."""
        states = {"order": self.order.get_state(), "draws": self.draws.get_state(), "host": torch.get_rng_state()}
        return states | ({"device": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {})


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype
