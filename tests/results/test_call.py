"""A function of the user that evaluates topologies: its reports, its end, and what it raises."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import results
from nas.errors import CandidateError, TaskError
from nas.results.call import FunctionEvaluator
from nas.tasks.recipe import Recipe
from tests.helpers.result_tasks import NETWORK, space

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
    return {"accuracy": numpy.float32(0.5), "shape": numpy.zeros(())}

def fails(topology, *, seed, report):
    raise KeyError("no such network")

def silent(topology, *, seed, report):
    pass

def number(topology, *, seed, report):
    return 0.5

def nothing(topology, *, seed, report):
    report(None)

def leaves(topology, *, seed, report):
    raise SystemExit(3)

def presses(topology, *, seed, report):
    raise KeyboardInterrupt

def stops(topology, *, seed, report):
    from nas.results.call import CallStopped
    raise CallStopped

def huge(topology, *, seed, report):
    report({"accuracy": 10**400})
"""
MISUSES = {  # name of a function → what its candidate fails with
    "number": r"must be \{metric: number\}, but got 0.5",
    "nothing": r"must be \{metric: number\}, but got 'nothing'",
    "leaves": "the function raised SystemExit: 3",
    "presses": "the function raised KeyboardInterrupt",
    "stops": "the function raised CallStopped",
    "huge": "accuracy must be from -1e",
}


@pytest.fixture
def call(tmp_path: Path) -> Callable[[str], FunctionEvaluator]:
    (tmp_path / "score.py").write_text(SCORE)
    return lambda name: FunctionEvaluator(f"score.py:{name}", tmp_path)


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("whole", [{"epoch": 1, "accuracy": 3.03}]),
        ("steps", [{"epoch": epoch, "accuracy": (epoch - 1) / 10} for epoch in (1, 2, 3)]),
        ("both", [{"epoch": 1, "accuracy": 0.1}, {"epoch": 1, "accuracy": 0.2}]),
        ("array", [{"epoch": 1, "accuracy": 0.5, "shape": 0.0}]),
        ("silent", []),
    ],
)
def test_a_function_returns_or_reports(call: Callable[[str], FunctionEvaluator], name: str, records: list[Any]) -> None:
    caller = call(name)
    assert list(caller.start(NETWORK, seed=3)) == records
    assert list(caller.start(NETWORK, seed=3)) == records  # the next candidate
    assert "seconds" in caller.measured or not records


@pytest.mark.parametrize("name", ["steps", "swallows"])
def test_a_function_is_stopped_where_it_reports(
    call: Callable[[str], FunctionEvaluator], name: str, tmp_path: Path
) -> None:
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


def test_what_a_function_raises_is_raised(call: Callable[[str], FunctionEvaluator]) -> None:
    with pytest.raises(KeyError, match="no such network"):
        list(call("fails").start(NETWORK, seed=0))
    for name, said in MISUSES.items():
        with pytest.raises(CandidateError, match=said):
            list(call(name).start(NETWORK, seed=0))


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
