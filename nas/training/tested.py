"""An evaluator that reads the test split at the end of a training. Only `confirm` uses it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

from nas.tasks import Splits, Task
from nas.tasks.recipe import Recipe
from nas.tasks.splits import TEST, joined
from nas.topology import Topology
from nas.training.evaluate import Evaluator
from nas.training.loop import EpochRecord


class TestedEvaluator(Evaluator):
    """Trains as Evaluator does, and adds test_<metric> and test_loss to what is measured.

    with_validation  whether weights are trained on the validation split, too; the metric on it then says nothing of
                     other data
    """

    __test__ = False  # it is no test, though pytest takes every class called Test… for one

    def __init__(
        self, task: Task, recipe: Recipe, with_validation: bool, *, device: str = "cpu", threads: int = 1
    ) -> None:
        if with_validation:
            task = dataclasses.replace(task, load=functools.partial(_with_validation, task.load))
        super().__init__(task, recipe, device, threads)

    def start(self, topology: Topology, *, seed: int, checkpoint: bytes | None = None) -> Iterator[EpochRecord]:
        """Train `topology` and yield a record of every epoch; then measure it on the test split."""
        yield from super().start(topology, seed=seed, checkpoint=checkpoint)
        self.result.measured |= {f"{TEST}{name}": value for name, value in self.test().items()}


def _with_validation(load: Callable[[], Splits]) -> Splits:
    splits = load()
    return dataclasses.replace(splits, train=joined(splits.train, splits.validation))
