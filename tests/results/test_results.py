"""Results instead of trainings: a table of them, and a function of the user's own."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import results
from nas.errors import CandidateError, SpaceError, TaskError
from nas.results.call import Caller
from nas.results.table import Lookup, read
from nas.space import SearchSpace
from nas.tasks import get
from nas.tasks.recipe import Recipe
from nas.tasks.task import Task
from nas.topology import references

NETWORK = references.resnet(8, input=(1, 8, 8), outputs=10)
MACRO = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-macro_cifar10.json"


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """table(name=metrics, …) or table(text): a file of it."""

    def write(text: str | None = None, **entries: Any) -> Path:
        path = tmp_path / "table.json"
        path.write_text(json.dumps(entries) if text is None else text)
        return path

    return write


def space(task: Any) -> SearchSpace:
    network = {"stem": "conv3x3", "stages": [{"blocks": 2, "op": "basic", "width": 4}], "head": "classify"}
    network["stem"] = {"op": "conv3x3", "width": 4}
    return SearchSpace.from_dict({"task": task, "network": network, "search": {"baselines": []}})


# --------------------------------------------------------------------------------------------------------- a table


def test_a_table_names_topologies_by_key_or_as_references(table: Callable[..., Path]) -> None:
    path = table(**{"resnet8": {"accuracy": 0.5, "seconds": 7}, "0123456789abcdef": {"accuracy": [0.1, 0.2, 0.4]}})
    found = read(path, get("digits"))
    assert found == {
        NETWORK.key: {"accuracy": 0.5, "seconds": 7},
        "0123456789abcdef": {"accuracy": [0.1, 0.2, 0.4]},
    }
    lookup = Lookup(found, path.name, epochs=8)
    assert list(lookup.start(NETWORK, seed=3)) == [{"epoch": 8, "accuracy": 0.5, "seconds": 7}]
    assert lookup.measured == {"seconds": 7}
    with pytest.raises(CandidateError, match=r"table.json has no result of topology [0-9a-f]{16}"):
        next(lookup.start(references.resnet(20), seed=0))


def test_a_list_has_a_number_for_each_seed(table: Callable[..., Path]) -> None:
    lookup = Lookup(read(table(resnet8={"accuracy": [0.1, 0.2, 0.4]}), get("digits")), "t", epochs=1)
    assert [next(lookup.start(NETWORK, seed=seed))["accuracy"] for seed in range(4)] == [0.1, 0.2, 0.4, 0.1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ('{"resnet8": 0.5}', "resnet8: Input should be"),
        ('{"resnet8": {"accuracy": "high"}}', "resnet8.accuracy: "),
        ('{"resnet8": {"accuracy": NaN}}', "resnet8.accuracy: "),
        ('{"resnet8": {"accuracy": []}}', "resnet8.accuracy: "),
        ('{"resnet8": {"loss": 0.5}}', "what the table tells must be one of loss, but got 'accuracy'"),
        ("{}", "what the table tells must be one of"),
        ('{"resnet9000": {"accuracy": 1}}', "resnet9000 is neither a canonical key nor a reference: "),
        ('{"00000000": {"accuracy": 1}}', "nas_bench_macro needs 'mean_acc' of every network"),
        ('{"resnet8": {"accuracy": 1}, "resnet(8)": {"accuracy": 2}}', "resnet8 and resnet(8) are one topology, but "),
    ],
)
def test_a_wrong_table_is_one_line(table: Callable[..., Path], text: str, said: str) -> None:
    with pytest.raises(TaskError) as error:
        read(table(text), get("digits"))
    assert said in str(error.value)
    assert str(error.value).startswith(str(table(text)))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    given = space({"of": "digits", "table": str(tmp_path / "gone.json")})  # a record of old may be read all the same
    with pytest.raises(TaskError, match=r"gone.json: the table cannot be read: No such file"):
        results.evaluator(given.task, given.recipe)


@pytest.mark.skipif(not MACRO.is_file(), reason=f"{MACRO} is not here")
def test_the_table_of_nas_bench_macro() -> None:
    given = SearchSpace.load("nas_bench_macro", table=MACRO)
    found = read(MACRO, given.task)
    assert len(found) == 3969
    assert max(metrics["accuracy"] for metrics in found.values()) == pytest.approx(93.1267, abs=1e-4)
    best = references.nas_bench_macro("22212220")
    assert found[best.key]["accuracy"] == pytest.approx(93.1267, abs=1e-4)


# ------------------------------------------------------------------------------------------------------ a function

SCORE = """
from pathlib import Path

def whole(topology, *, seed, report):
    return {"accuracy": len(topology) / 100 + seed}

def steps(topology, *, seed, report):
    try:
        for epoch in range(3):
            report({"accuracy": epoch / 10})
    finally:
        Path(__file__).with_name("over").touch()

def both(topology, *, seed, report):
    report({"accuracy": 0.1})
    return {"accuracy": 0.2}

def swallows(topology, *, seed, report):
    while True:
        try:
            report({"accuracy": 0.5})
        except Exception:
            pass

def array(topology, *, seed, report):
    import numpy
    return {"accuracy": numpy.float32(0.5), "shape": numpy.zeros(3)}

def fails(topology, *, seed, report):
    raise KeyError("no such network")

def silent(topology, *, seed, report):
    pass

def number(topology, *, seed, report):
    return 0.5
"""


@pytest.fixture
def call(tmp_path: Path) -> Callable[[str], Caller]:
    (tmp_path / "score.py").write_text(SCORE)
    return lambda name: Caller(f"score.py:{name}", tmp_path)


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("whole", [{"epoch": 1, "accuracy": 3.03}]),
        ("steps", [{"epoch": epoch, "accuracy": (epoch - 1) / 10} for epoch in (1, 2, 3)]),
        ("both", [{"epoch": 1, "accuracy": 0.1}, {"epoch": 1, "accuracy": 0.2}]),
        ("array", [{"epoch": 1, "accuracy": 0.5, "shape": "[0. 0. 0.]"}]),
        ("silent", []),
    ],
)
def test_a_function_returns_or_reports(call: Callable[[str], Caller], name: str, records: list[Any]) -> None:
    caller = call(name)
    assert list(caller.start(NETWORK, seed=3)) == records
    assert list(caller.start(NETWORK, seed=3)) == records  # the next candidate
    assert "seconds" in caller.measured or not records


@pytest.mark.parametrize("name", ["steps", "swallows"])
def test_a_function_is_stopped_where_it_reports(call: Callable[[str], Caller], name: str, tmp_path: Path) -> None:
    caller = call(name)
    records = caller.start(NETWORK, seed=0)
    assert next(records)["epoch"] == 1
    records.close()  # type: ignore[attr-defined]
    if name == "steps":
        for _ in range(200):
            if (tmp_path / "over").exists():
                return
            __import__("time").sleep(0.01)
        pytest.fail("it went on")


def test_what_a_function_raises_is_raised(call: Callable[[str], Caller]) -> None:
    with pytest.raises(KeyError, match="no such network"):
        list(call("fails").start(NETWORK, seed=0))
    with pytest.raises(TaskError, match=r"must return or report \{metric: number\}, but gave 0.5"):
        list(call("number").start(NETWORK, seed=0))


def test_a_function_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "score.py").write_text(SCORE)
    monkeypatch.chdir(tmp_path)
    for reference, said in (("score.py:hole", "must be one of"), ("nowhere.at.all:f", "No module named 'nowhere'")):
        given = space({"of": "digits", "function": reference})
        with pytest.raises(TaskError, match=said):
            results.evaluator(given.task, given.recipe)
    made = results.evaluator(space({"of": "digits", "function": "score.py:whole"}).task, Recipe())
    assert isinstance(made, functools.partial)
    assert list(made(device="cpu", threads=1).start(NETWORK, seed=0)) == [{"epoch": 1, "accuracy": 0.03}]


# ---------------------------------------------------------------------------------------------- the task in a space


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
        ({"of": "digits", "metric": "rmse"}, "task.metric: may be said only where a table or a function"),
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
