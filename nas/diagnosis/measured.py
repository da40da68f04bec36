"""The function `diagnose`, and everything that it measures of a network."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.diagnosis.flow import Flow, flow
from nas.diagnosis.representation import features, openness, probes, reuse, similarity
from nas.diagnosis.surface import Surface, sharpness, surface
from nas.errors import Diverged
from nas.network import Network, build
from nas.network.onednn import safe_onednn
from nas.tasks import Task
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.topology.paths import describe
from nas.training.data import Batches
from nas.training.evaluate import Evaluator
from nas.training.loop import EpochRecord
from nas.training.metrics import LOSSES

SAMPLES = 256  # of the batch that is measured, and of the held-out one, at most
ANSWERS = 2**14  # of such a batch: classes of pixels or of tokens; it has a sample at least
PROBED = 1000  # training samples of the linear classifiers


@dataclass(frozen=True)
class Trained:
    """The measurements of a trained network.

    flow        the scales of activations and gradients
    surface, sharpness  the loss around its weights
    similarity  the linear CKA of every two nodes, nodes × nodes
    probes      the accuracy of a linear classifier of each node's features; empty for another task than classes
    openness    block → the mean of its gate
    reuse       block that reads a concatenation → source node → mean |weight|
    """

    flow: Flow
    surface: Surface
    sharpness: float
    similarity: list[list[float]]
    probes: list[float]
    openness: dict[int, float]
    reuse: dict[int, dict[int, float]]


@dataclass(frozen=True)
class Diagnosis:
    """The measurements of one network.

    name, params  what it is, and how many parameters it has
    topology      Topology.describe()
    metric        the name of the task's metric
    epochs        of a whole training
    curves        for each seed the records of its epochs; they end early where the training diverged
    paths         statistics of its paths (nas.topology.paths.describe)
    lengths       the share of its paths that have each number of transformations, from 0 on
    start         the scales before the training
    trained       what was measured after the training with the first seed; None where it diverged
    """

    name: str
    params: int
    topology: str
    metric: str
    epochs: int
    curves: list[list[EpochRecord]]
    paths: dict[str, float]
    lengths: list[float]
    start: Flow
    trained: Trained | None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data for JSON."""
        return dataclasses.asdict(self)


def diagnose(
    name: str,
    topology: Topology,
    task: Task,
    recipe: Recipe,
    seeds: int = 3,
    tell: Callable[[str], None] = lambda _: None,
) -> Diagnosis:
    """Train a network from several seeds, and return what was measured before, meanwhile and after.

    tell  is called with what is done next

    Nothing is measured on the test split. Raises TaskError if the topology does not fit the task.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    evaluator = Evaluator(task, recipe, device, torch.get_num_threads())
    torch.manual_seed(0)
    network = build(topology, init=recipe.init).to(device)
    with safe_onednn(network):
        start = flow(network, *_batch(evaluator.data), LOSSES[task.loss])
    curves: list[list[EpochRecord]] = []
    trained = None
    for seed in range(seeds):
        training = f"{name}: training {seed + 1} of {seeds}"
        tell(training)
        curves.append([])
        with contextlib.suppress(Diverged):
            for record in evaluator.start(topology, seed=seed):
                curves[-1].append(record)
                tell(f"{training}, epoch {len(curves[-1])} of {evaluator.epochs} has ended")
            if seed == 0 and isinstance(evaluator.network, Network):
                with safe_onednn(evaluator.network):
                    trained = _measure(evaluator.network, evaluator, lambda what: tell(f"{name}: {what}"))
    return Diagnosis(
        name=name,
        params=sum(one.numel() for one in network.parameters()),
        topology=topology.describe(),
        metric=task.metric,
        epochs=evaluator.epochs,
        curves=curves,
        paths=describe(topology),
        lengths=path_lengths(topology),
        start=start,
        trained=trained,
    )


def _measure(network: Network, evaluator: Evaluator, tell: Callable[[str], None]) -> Trained:
    """Return what is measured of a trained network."""
    loss, task = LOSSES[evaluator.task.loss], evaluator.task
    batch, held = _batch(evaluator.data), _batch(evaluator.validation)
    tell("what its blocks compute")
    outputs = features(network, held[0])
    accuracies: list[float] = []
    if task.loss == "cross_entropy" and held[1].ndim == 1:
        seen = _batch(evaluator.data, PROBED)
        accuracies = probes(features(network, seen[0]), seen[1], outputs, held[1])
    alike = similarity(outputs)
    tell("the loss around its weights")
    return Trained(
        flow=flow(network, *batch, loss),
        surface=surface(network, *batch, loss),
        sharpness=sharpness(network, *batch, loss),
        similarity=alike,
        probes=accuracies,
        openness=openness(network, held[0]),
        reuse=reuse(network),
    )


def _batch(data: Batches, size: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """Return samples that are drawn from a split, the same in every call; all of a smaller one.

    The batch is smaller where a sample has many answers, so that pixels take no more time than images.
    """
    inputs, targets = next(data.shuffled(min(size, len(data)), torch.Generator().manual_seed(0)))
    kept = max(1, ANSWERS // targets[0].numel())
    return inputs[:kept], targets[:kept]


def path_lengths(topology: Topology) -> list[float]:
    """Return the share of the paths from the stem to the head that pass k transformations, for k from 0 on.

    A path goes through F or through a bypass of every block (Veit et al. 2016).
    """
    counts: list[Counter[int]] = [Counter({0: 1})]
    for wire in topology.wiring.wires:
        step = 0 if wire.vanishes else 1
        here = Counter({length + step: paths for length, paths in counts[-1].items()})
        for bypass in wire.bypasses:
            here.update(counts[bypass.source])
        counts.append(here)
    last = counts[-1]
    total = last.total()
    return [last[length] / total for length in range(max(last) + 1)]
