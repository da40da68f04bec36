"""How far a search is: as its study and its last sign of life tell it."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from rich.console import Console

from nas.analysis.search_status import DEAD, OVER, SEARCHING, STARTING, STOPPED, StatusReader, cause_of
from nas.analysis.search_status_text import status_dict, status_view
from nas.space import SearchSpace
from nas.study import Run
from nas.study.lease import Lease, LeasedStudy
from nas.study.pulse import Pulse, RunningTrial, write
from tests.helpers.analysis_trials import WINNER, frame, trial
from tests.helpers.recorded_runs import SPACE, add_running, recorded

NOW = datetime.now(UTC).replace(microsecond=0)


def signed(run: Run, seconds_ago: float = 2, **changes: Any) -> None:
    """A sign of life, as the process of a search leaves it."""
    facts = {"host": "node-17", "pid": 4711, "alive": NOW - timedelta(seconds=seconds_ago), "slots": 2}
    write(run.storage, run.storage.get_study_id_from_name(run.study_name), Pulse(**(facts | changes)))


def new_run(folder: Path, trials: int, **search: Any) -> Run:
    settings = SPACE["search"] | {"trials": trials} | search
    return Run.create(SearchSpace.from_dict(SPACE | {"search": settings}), f"run{trials}", folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four baselines and eight trials have ended, each after four seconds; of the 20 trials 12 are left."""
    run = new_run(tmp_path, 20)
    for row in frame(12).to_dict("records"):
        run.study.add_trial(recorded(row))
    return run


def test_what_has_ended_and_what_is_left(run: Run) -> None:
    signed(run)
    found = StatusReader(run).read(NOW)
    assert (found.state, found.goes_on) == (SEARCHING, True)
    assert (found.asked, found.ended) == (20, 8)
    assert found.counts == {"COMPLETE": 9, "PRUNED": 1, "FAIL": 2}
    assert found.causes == {"diverged": 1, "out of memory": 1}
    assert found.spent == pytest.approx(12 * 4 / 3600)
    assert found.left == pytest.approx(12 * 4 / 3600)
    assert found.seconds_left == pytest.approx(12 * 4 / 2)
    assert (found.resource, found.silence) == ("slot", 2)


def test_the_best_beside_the_best_baseline(run: Run) -> None:
    found = StatusReader(run).read(NOW)
    assert found.best is not None and found.baseline is not None and found.challenger is not None
    assert found.best.trial == run.winner
    assert found.baseline.name and not found.challenger.name
    assert found.ahead == pytest.approx(found.challenger.expected - found.baseline.expected)


def test_of_a_metric_that_is_minimised_less_is_ahead(tmp_path: Path) -> None:
    run = new_run(tmp_path, 2, objectives=["accuracy"])
    task = dataclasses.replace(run.space.task, direction="minimize")
    run.space = dataclasses.replace(run.space, task=task)
    for number, (name, value) in enumerate((("plain", 0.5), (None, 0.3))):
        row = trial(number, WINNER, name, accuracy=value, key=str(number))
        made = recorded(row)
        made.values = [value]
        run.study.add_trial(made)
    found = StatusReader(run).read(NOW)
    assert found.best == found.challenger
    assert found.ahead == pytest.approx(0.2)


def test_a_candidate_in_training_has_its_place_its_epoch_and_an_estimate(run: Run) -> None:
    begun = NOW - timedelta(seconds=30)
    first = add_running(run, begun, {1: 0.5, 7: 0.75}, baseline="resnet")  # epochs of an attempt that was given up
    second = add_running(run, NOW - timedelta(seconds=1), {})
    told = RunningTrial(trial=first, node="gpu-1", slots=2, epoch=2, value=0.625)
    signed(run, gpu=True, slots=4, slots_per_gpu=2, running=(told,))
    found = StatusReader(run).read(NOW)
    one, other = found.running
    assert (one.trial, one.name, one.node, one.slots) == (first, "resnet", "gpu-1", 2)
    assert (one.epoch, one.epochs, one.value) == (2, 8, 0.625)
    assert one.seconds == pytest.approx(30)
    assert one.seconds_left == pytest.approx(90)  # 6 epochs of 15 seconds
    assert (other.trial, other.name, other.node, other.epoch, other.value) == (second, "", "", 0, None)
    assert other.seconds_left == pytest.approx(3)  # the others took four seconds
    assert one.params == 4567 and one.skips
    assert found.resource == "GPU"
    assert found.spent == pytest.approx((12 * 4 + 2 * 30 + 1) / 2 / 3600)
    assert found.left == pytest.approx((11 * 4 + 2 * 90 + 3) / 2 / 3600)  # the baseline is none of the trials


def test_trials_of_other_programs_are_no_trainings(run: Run) -> None:
    run.study.ask()
    signed(run, ended="all trials are finished")
    found = StatusReader(run).read(NOW)
    assert not found.running
    before = found.ended
    run.study.add_trial(optuna.trial.create_trial(values=[0.5, 1.0]))
    found = StatusReader(run).read(NOW)
    assert found.ended == before and not found.goes_on


def test_of_a_function_steps_are_counted_and_the_time_is_that_of_others(run: Run) -> None:
    task = dataclasses.replace(run.space.task, results=("function", "mine.py:score"))
    run.space = dataclasses.replace(run.space, task=task)
    add_running(run, NOW - timedelta(seconds=1), {1: 0.5, 2: 0.625})
    (one,) = StatusReader(run).read(NOW).running
    assert (one.epoch, one.epochs) == (2, None)
    assert one.seconds_left == pytest.approx(3)


def test_without_reports_the_curve_of_the_record_counts(run: Run) -> None:
    curve = [{"epoch": 1, "accuracy": 0.25}, {"epoch": 2, "accuracy": float("nan")}]
    add_running(run, NOW, {}, curve=curve[:1])
    add_running(run, NOW, {}, curve=curve)
    first, second = StatusReader(run).read(NOW).running
    assert (first.epoch, first.value) == (1, 0.25)
    assert (second.epoch, second.value) == (2, None)


def test_the_estimate_of_the_search_itself_grows_older(run: Run) -> None:
    signed(run, seconds_ago=10, seconds_left=100.0)
    assert StatusReader(run).read(NOW).seconds_left == pytest.approx(90)


@pytest.mark.parametrize(
    ("silent", "running", "ended", "state"),
    [
        (2, True, None, SEARCHING),
        (2, False, None, SEARCHING),
        (240, True, None, DEAD),
        (240, False, None, STOPPED),  # it left no trial as running, so it ended in order
        (240, False, "interrupted", STOPPED),
        (2, False, "interrupted", STOPPED),
        (2, True, "interrupted", SEARCHING),  # the next session has begun and has not given a sign yet
    ],
)
def test_the_state_of_a_search(run: Run, silent: float, running: bool, ended: str | None, state: str) -> None:
    if running:
        add_running(run, NOW, {})
    signed(run, silent, ended=ended)
    assert StatusReader(run).read(NOW).state == state


def test_a_search_without_a_sign_of_life(run: Run, tmp_path: Path) -> None:
    assert StatusReader(new_run(tmp_path, 5)).read(NOW).state == STARTING
    assert StatusReader(run).read(NOW).state == STOPPED
    add_running(run, NOW, {})
    assert StatusReader(run).read(NOW).state == SEARCHING
    whole = new_run(tmp_path, 8)
    for row in frame(12).to_dict("records"):
        whole.study.add_trial(recorded(row))
    found = StatusReader(whole).read(NOW)
    assert (found.state, found.left, found.seconds_left) == (OVER, None, None)


def test_what_is_expected_is_computed_again_where_a_trial_has_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.analysis import search_status

    calls, real = [], search_status.ranked_rows
    monkeypatch.setattr(search_status, "ranked_rows", lambda *a, **k: calls.append(1) or real(*a, **k))
    reader = StatusReader(run)
    first = reader.read(NOW)
    assert reader.read(NOW) == first and len(calls) == 1
    run.study.add_trial(recorded(trial(12, WINNER, accuracy=0.9999)))
    assert reader.read(NOW).best != first.best and len(calls) == 2


def test_a_damaged_record_is_no_obstacle(run: Run) -> None:
    add_running(run, NOW, {1: float("inf")}, topology={"no": "topology"}, baseline=3, predicted="none")
    (one,) = StatusReader(run).read(NOW).running
    assert (one.name, one.skips, one.params, one.value) == ("", "", None, None)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("diverged", "diverged"),
        ("out of memory: predicted 1,000 bytes", "out of memory"),
        ("error: ValueError: the dog ate: it", "error: ValueError"),
        ("error: its process died: SIGKILL", "error: its process died"),
        ("", "unknown"),
        ("bad\x1b[2J", "bad [2J"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_causes_are_short(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause


def test_times_of_trials_are_local(run: Run) -> None:
    add_running(run, NOW - timedelta(seconds=7), {})
    assert StatusReader(run).read(NOW).running[0].seconds == pytest.approx(7)
    assert pd.isna(run.frame()["ended"].iloc[-1])


def test_processes_that_search_together_are_shown_together(tmp_path: Path) -> None:
    run = new_run(tmp_path, 4)
    signed(run, seconds_left=90.0)
    other = {"host": "node-18", "pid": 4712, "alive": NOW, "slots": 3, "every": 2}
    write(run.storage, run.storage.get_study_id_from_name(run.study_name), Pulse.model_validate(other), seat=1)
    assert LeasedStudy(run).swap(None, Lease(seats=2))
    found = StatusReader(run).read(NOW)
    assert found.pulse is not None and (found.pulse.slots, found.seconds_left) == (5, 90.0)
    assert [one.host for one in found.members] == ["node-17", "node-18"]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(status_view(found, 120))
    assert "4711 on node-17  ·  4712 on node-18  ·  last sign of life 0s ago" in console.export_text()
    assert [one["pid"] for one in status_dict(found)["processes"]] == [4711, 4712]
