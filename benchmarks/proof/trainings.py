"""Trainings of networks with new seeds, measured on the test split; each is kept in a file, so that they can go on."""

from __future__ import annotations

import functools
import json
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from nas.errors import Diverged
from nas.space import SearchSpace
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.training.evaluate import Evaluator


class Training(NamedTuple):
    """One training: of a network, by a recipe, from a seed."""

    space: Path
    recipe: Recipe
    topology: Topology
    seed: int

    @property
    def key(self) -> str:
        """What the training is found by in the file."""
        return f"{self.topology.key} {self.seed} {self.recipe.model_dump_json()}"


def results(trainings: Iterable[Training], path: Path, processes: int) -> Iterator[tuple[Training, dict[str, Any]]]:
    """Yield every training with {validation, test}: those that the file holds at once, the others as they end."""
    known = _read(path)
    left: list[Training] = []
    for training in trainings:
        if training.key in known:
            yield training, known[training.key]
        else:
            left.append(training)
    if not left:
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(trained, training): training for training in left}
        for job in as_completed(jobs):
            training, result = jobs[job], job.result()
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"training": training.key} | result) + "\n")
            yield training, result


def trained(training: Training) -> dict[str, Any]:
    """Return the metric on the validation and on the test split after a training; None where it diverged."""
    evaluator = _evaluator(training.space, training.recipe)
    metric = evaluator.task.metric
    try:
        validation = evaluator.evaluate(training.topology, seed=training.seed).metrics[metric]
    except Diverged:
        return {"validation": None, "test": None}
    return {"validation": validation, "test": evaluator.test()[metric]}


@functools.lru_cache(maxsize=1)
def _evaluator(space: Path, recipe: Recipe) -> Evaluator:
    return Evaluator(SearchSpace.load(space).task, recipe)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return training → result of the file; a last line that was cut off is left out."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {row.pop("training"): row for row in rows}
