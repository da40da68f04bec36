"""An evaluator that changes a trained network, without training it further, and measures what is left of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from nas.network import build
from nas.network.onednn import safe_onednn
from nas.tasks import Task
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.training.evaluate import Evaluator
from nas.training.loop import EpochRecord, score


class LesionedEvaluator(Evaluator):
    """Trains as Evaluator does; after a training of the whole network it measures every change of it on validation.

    whole    the key of the whole network
    changes  name → topology: the change is measured as `name` if the weights of the whole network fit it
    """

    def __init__(
        self, task: Task, recipe: Recipe, whole: str, changes: Mapping[str, Topology], *, device: str, threads: int
    ) -> None:
        super().__init__(task, recipe, device, threads)
        self.whole, self.changes = whole, changes

    def start(self, topology: Topology, *, seed: int, checkpoint: bytes | None = None) -> Iterator[EpochRecord]:
        """Train `topology` and yield a record of every epoch; then measure the changes of the whole."""
        yield from super().start(topology, seed=seed, checkpoint=checkpoint)
        if topology.key == self.whole and self.network is not None:
            for name, change in self.changes.items():
                if (changed := _with_weights_of(self.network, change)) is not None:
                    with safe_onednn(changed):
                        measured = score(changed.to(self.device), self.validation, self.task, self.recipe)
                    self.result.measured[name] = measured[self.task.metric]


def _with_weights_of(network: nn.Module, change: Topology) -> nn.Module | None:
    """Return the changed network with the weights of the trained one; None if it needs others."""
    trained, changed = network.state_dict(), build(change)
    needed = changed.state_dict()
    if any(name not in trained or trained[name].shape != value.shape for name, value in needed.items()):
        return None
    changed.load_state_dict({name: trained[name] for name in needed})
    return changed
