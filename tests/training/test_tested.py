"""The only evaluator that reads the test split."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nas import tasks
from nas.space import SearchSpace
from nas.tasks import Split, Splits, Stream
from nas.tasks.recipe import Recipe
from nas.tasks.splits import joined
from nas.training.evaluate import Evaluator
from nas.training.tested import TestedEvaluator
from tests.helpers import scripted

NAS = Path(__file__).parents[2] / "nas"
RECIPE = Recipe(epochs=1)


def topology_of(space: SearchSpace):  # type: ignore[no-untyped-def]
    return next(iter(space.points()))[1]


def test_a_training_is_that_of_a_search_and_then_tested() -> None:
    task, topology = tasks.get("digits"), topology_of(scripted.space(1))
    plain, tested = Evaluator(task, RECIPE), TestedEvaluator(task, RECIPE, with_validation=False)
    assert plain.evaluate(topology, seed=3).metrics == tested.evaluate(topology, seed=3).metrics
    assert tested.measured["test_accuracy"] == plain.test()["accuracy"]
    assert tested.measured["test_loss"] == plain.test()["loss"]
    assert not any(name.startswith("test") for name in plain.measured)


def test_validation_may_be_trained_on() -> None:
    task = tasks.get("digits")
    splits = task.load()
    evaluator = TestedEvaluator(task, RECIPE, with_validation=True)
    assert len(evaluator.data) == len(splits.train) + len(splits.validation)


def test_splits_are_joined_in_memory_and_as_streams() -> None:
    left, right = (Split(np.full((n, 2), n), np.arange(n)) for n in (3, 2))
    both = joined(left, right)
    assert isinstance(both, Split)
    assert both.inputs[:, 0].tolist() == [3, 3, 3, 2, 2]
    assert both.targets.tolist() == [0, 1, 2, 0, 1]
    first, second = (Stream(lambda row, n=n: (np.array(n), np.array(row)), n, (0.5,), (1.0,)) for n in (3, 2))
    read = joined(first, second)
    assert isinstance(read, Stream)
    assert len(read) == 5
    assert [tuple(map(int, read.read(row))) for row in (0, 2, 3, 4)] == [(3, 0), (3, 2), (2, 0), (2, 1)]


def test_a_search_does_not_read_the_test_split() -> None:
    """The arrays of the test split are closed to whoever asks for anything but how many there are."""

    class Closed(Split):
        def __getattribute__(self, name: str) -> object:
            if name in ("inputs", "targets"):
                raise AssertionError("the test split was read")
            return super().__getattribute__(name)

        def __len__(self) -> int:
            return 5

    digits = tasks.get("digits")

    def load() -> Splits:
        whole = digits.load()
        return Splits(whole.train, whole.validation, Closed(np.empty(0), np.empty(0)))

    task = dataclasses.replace(digits, load=load)
    evaluator = Evaluator(task, RECIPE)
    evaluator.evaluate(topology_of(scripted.space(1)), seed=0)
    with pytest.raises(AssertionError, match="the test split was read"):
        evaluator.test()


def test_a_training_that_goes_on_is_tested_too() -> None:
    recipe, topology = Recipe(epochs=2, batch_size=256), topology_of(scripted.space(1))
    evaluator = TestedEvaluator(tasks.get("digits"), recipe, True)
    evaluator.evaluate(topology, seed=0)
    whole = evaluator.measured
    next(evaluator.start(topology, seed=0))
    [last] = evaluator.start(topology, seed=0, checkpoint=evaluator.checkpoint())
    assert last["epoch"] == 2
    for name in ("test_accuracy", "test_loss"):
        assert evaluator.measured[name] == whole[name]


def readers_of_test() -> set[str]:
    """The modules that name an attribute or call a method `test`, without those that make the splits."""
    found = set()
    for path in NAS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.Attribute) and node.attr in ("test", "_test") for node in ast.walk(tree)):
            found.add(path.relative_to(NAS).as_posix())
    return found


def test_only_the_evaluator_of_a_confirmation_asks_for_the_test_split() -> None:
    """`confirmed` has a field of that name: the figures."""
    shown = {name for name in readers_of_test() if not name.startswith(("analysis/confirmed", "tasks/"))}
    assert shown - {"export/runs.py"} == {"training/evaluate.py", "training/tested.py"}
    makers = {
        path.relative_to(NAS).as_posix()
        for path in NAS.rglob("*.py")
        if "TestedEvaluator(" in path.read_text(encoding="utf-8")
    }
    assert makers == {"training/tested.py", "searching/confirmation.py"}
