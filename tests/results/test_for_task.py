"""The facts of a task that has results instead of data: from a named task or from the space file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import SpaceError, TaskError
from nas.results import depends_on_seed, evaluator
from nas.space import SearchSpace
from nas.tasks import Task
from tests.helpers.result_tasks import space


def test_facts_come_from_a_task_or_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"function": "sim.py:run", "input": [3, 16, 16], "outputs": 5, "metric": "delay", "direction": "minimize"}
    task = space(own).task
    assert (task.name, task.input, task.outputs) == ("sim", (3, 16, 16), 5)
    assert (task.metric, task.direction) == ("delay", "minimize")
    assert task.results == ("function", f"{tmp_path}/sim.py:run")
    assert space({"of": "digits", "table": "t.json", "metric": "rmse"}).task.direction == "minimize"
    for given in (own, {"of": "digits", "table": "t.json"}, "digits"):
        made = space(given)
        assert SearchSpace.from_dict(made.to_dict()).to_dict() == made.to_dict()
    assert space("digits").to_dict()["task"] == "digits"
    assert space({"of": "digits", "table": "t.json"}).to_dict()["task"] == {
        "of": "digits",
        "table": f"{tmp_path}/t.json",
    }


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"table": "t.json"}, "task: must have input and outputs, or `of`"),
        ({"table": "t.json", "function": "a.py:f", "of": "digits"}, "task: must have a table or a function, but has"),
        ({"input": [3, 8, 8], "outputs": 2}, "task: must have `of`"),
        ({"of": "digits", "metric": "rmse"}, "task.metric: is allowed only with a table or a function"),
        ({"of": "digits", "function": "score"}, "task: a function must be written FILE.py:FUNCTION"),
        ({"of": "digits", "table": "t.json", "metric": "delay"}, "metric of a task without a direction must be one of"),
        ({"of": "digitz", "table": "t.json"}, "did you mean 'digits'"),
        ({"tabel": "t.json"}, "task.tabel: is unknown here"),
        (7, "task: "),
    ],
)
def test_a_wrong_task_is_one_line(task: Any, said: str) -> None:
    with pytest.raises(SpaceError) as error:
        space(task)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_of_results_has_no_data() -> None:
    task: Task = space({"table": "t.json", "input": [3, 8, 8], "outputs": 2}).task
    with pytest.raises(TaskError, match="task t has no data: its results come from a table"):
        task.load()


@pytest.mark.parametrize(("accuracy", "depends"), [(0.9, False), ([0.9], False), ([0.9, 0.8], True)])
def test_a_table_says_whether_results_depend_on_the_seed(tmp_path: Path, accuracy: object, depends: bool) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"resnet20": {"accuracy": 0.9}, "resnet32": {"accuracy": accuracy}}))
    made = space({"of": "digits", "table": str(path)})
    assert depends_on_seed(evaluator(made.task, made.recipe)) is depends
    assert depends_on_seed(lambda device, threads: None)
