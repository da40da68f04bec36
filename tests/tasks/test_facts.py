"""The facts of a task, as a run records them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas import tasks
from nas.errors import TaskError
from nas.tasks.facts import facts_of, task_of


@pytest.mark.parametrize("name", ["digits", "cluttered_digits", "digit_scenes"])
def test_a_task_of_facts_is_the_task(name: str) -> None:
    made = tasks.get(name)
    again = task_of(name, json.loads(json.dumps(facts_of(made))))
    for field in ("name", "input", "outputs", "metric", "direction", "loss", "notes"):
        assert getattr(again, field) == getattr(made, field)


def test_its_data_is_that_of_the_task() -> None:
    task = task_of("digits", facts_of(tasks.get("digits")))
    assert len(task.load().train) == len(tasks.get("digits").load().train)


def test_a_task_that_has_changed_is_a_mistake() -> None:
    task = task_of("digits", facts_of(tasks.get("digits")) | {"outputs": 7})
    with pytest.raises(TaskError, match="task digits has changed: its outputs was 7, but is 10"):
        task.load()


@pytest.mark.parametrize(
    "wrong",
    [3, None, {}, {"input": "x"}, {"input": [0]}, {"direction": "up"}, {"metric": ["a"]}, {"loss": "no"}, {"more": 1}],
)
def test_facts_that_are_none_are_one_line(wrong: object) -> None:
    facts = facts_of(tasks.get("digits")) | wrong if isinstance(wrong, dict) and wrong else wrong
    with pytest.raises(TaskError) as error:
        task_of("digits", facts)
    assert "\n" not in str(error.value)


def test_a_function_is_imported_where_its_data_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = "nas.Task('mine', input=(8,), outputs=2, load=lambda: 1)"
    (tmp_path / "mine_facts.py").write_text(f"import nas\n\ndef task():\n    return {made}\n")
    name = "mine_facts:task"
    facts = facts_of(tasks.get(name))
    (tmp_path / "mine_facts.py").unlink()
    task = task_of(name, facts)
    assert (task.name, task.input) == (name, (8,))
