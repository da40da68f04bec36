"""An exception at every place where Ray Tune calls the search: it ends with that exception, and its record is true."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.cloudpickle
from ray.tune import TuneError

from nas.searching import environment
from nas.searching.callbacks import SessionCallback, SessionStopper
from nas.searching.display import LineDisplay
from nas.searching.driver import search
from nas.searching.progress import Progress
from nas.searching.searcher import SessionSearcher
from nas.searching.session import Session
from nas.searching.stopping import FairASHA
from nas.searching.watch import Watch
from nas.study import Run
from nas.watching.publisher import Publisher
from tests.helpers import scripted

TRIALS = 6
ENDS: list[tuple[type, str]] = [  # the search ends with the exception
    (SessionSearcher, "suggest"),
    (SessionSearcher, "trial_added"),
    (SessionSearcher, "trial_started"),
    (SessionSearcher, "epoch_ended"),
    (SessionSearcher, "trial_ended"),
    (SessionSearcher, "check"),
    (Session, "ask"),
    (Session, "tell"),
    (Session, "report"),
]
TUNE_DECIDES: list[tuple[type, str]] = [  # Tune ends with it, or trains the candidate again
    (SessionCallback, "on_trial_start"),
    (SessionCallback, "on_trial_result"),
    (SessionCallback, "on_trial_complete"),
    (SessionCallback, "on_step_end"),
    (SessionStopper, "stop_all"),
    (FairASHA, "on_trial_add"),
    (FairASHA, "on_trial_result"),
    (FairASHA, "on_trial_complete"),
]
GOES_ON: list[tuple[type, str]] = [  # what people look at is worth less than the search
    (Progress, "started"),
    (Progress, "epoch_ended"),
    (Progress, "ended"),
    (LineDisplay, "started"),
    (LineDisplay, "epoch_ended"),
    (LineDisplay, "ended"),
    (Watch, "_look_at_running"),
    (Watch, "_heed_stop"),
    (Publisher, "publish"),
]


class Injected(Exception):
    """Raised where a test says."""


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One Ray for all searches of this file."""
    environment.prepare()
    ray.cloudpickle.register_pickle_by_value(scripted)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.searching.driver._predict_cost", lambda topology, recipe: scripted.price(topology))
        yield
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(scripted)


def failing(method: Callable[..., Any], at: int) -> Callable[..., Any]:
    """Return the method, which raises in its call number `at`."""
    calls = itertools.count(1)

    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        if next(calls) == at:
            raise Injected("by the test")
        return method(*arguments, **options)

    return call


def run_search(root: Path) -> Run:
    """Begin a search with early stopping, or go on with it."""
    evaluate = functools.partial(scripted.Scripted, seconds=0.02, log=root / "log")
    if (root / "run").exists():
        return search(resume="run", root=root, slots=2, evaluate=evaluate)
    space = scripted.space(5, trials=TRIALS, early_stopping={"grace": 1, "reduction": 3})
    return search(space, name="run", root=root, slots=2, evaluate=evaluate)


def check_record(run: Run, states: set[str]) -> None:
    """Every state is true: what ended has its result, and nothing has failed."""
    frame = run.frame()
    assert set(frame["state"]) <= states, frame[["state", "reason"]]
    complete = frame[frame["state"] == "COMPLETE"]
    for key, accuracy in zip(complete["key"], complete["accuracy"], strict=True):
        assert accuracy == int(key[:8], 16) % 1000 / 1000


def check_that_it_goes_on(root: Path) -> None:
    """The record of a search that was ended is true, and so is that of the resumed one, which is whole."""
    check_record(Run.open("run", root), {"COMPLETE", "PRUNED", "WAITING"})
    done = run_search(root)
    check_record(done, {"COMPLETE", "PRUNED"})
    assert len(done.frame()) == TRIALS


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 4])
@pytest.mark.parametrize(("where", "name"), ENDS, ids=lambda one: getattr(one, "__name__", one))
def test_an_exception_of_the_search_ends_it_truthfully(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str, at: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, failing(getattr(where, name), at))
        with pytest.raises(Injected):
            run_search(tmp_path)
    check_that_it_goes_on(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "name"), TUNE_DECIDES, ids=lambda one: getattr(one, "__name__", one))
def test_an_exception_that_tune_handles_leaves_a_true_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, failing(getattr(where, name), 4))
        with contextlib.suppress(Injected, TuneError):
            run_search(tmp_path)
    check_that_it_goes_on(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "name"), GOES_ON, ids=lambda one: getattr(one, "__name__", one))
def test_an_exception_of_what_shows_a_search_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str
) -> None:
    monkeypatch.setattr(where, name, failing(getattr(where, name), 1))
    run = run_search(tmp_path)
    check_record(run, {"COMPLETE", "PRUNED"})
    assert len(run.frame()) == TRIALS
