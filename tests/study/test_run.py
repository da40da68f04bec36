"""A run: found by name, and its trials, its winner and its search settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial

from nas.errors import RunError
from nas.study import Run
from nas.study import attributes as names
from tests.helpers import scripted
from tests.helpers.runs import SPACE, finished, topology


def test_runs_are_found_by_name_by_path_and_by_age(tmp_path: Path) -> None:
    made = [Run.create(SPACE, name, tmp_path) for name in ("b", "a", "c")]
    (tmp_path / "no-run").mkdir()
    assert [run.name for run in Run.list(tmp_path)] == ["b", "a", "c"]
    assert Run.open(None, tmp_path).name == "c"
    assert Run.open("a", tmp_path).path == made[1].path
    assert Run.open(made[0].path).name == "b"
    assert Run.list(tmp_path / "none") == []


def test_a_run_that_is_not_there(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run 'fist' in .* \(did you mean 'first'\?\)"):
        Run.open("fist", tmp_path)
    with pytest.raises(RunError, match="there is no run in"):
        Run.open(None, tmp_path / "none")


def test_a_run_can_move(run: Run, tmp_path: Path) -> None:
    finished(run, 0.5, 10, "none", "none", "none", "none")
    moved = run.path.rename(tmp_path / "elsewhere")
    assert len(Run.open("elsewhere", tmp_path).frame()) == 1
    assert Run(moved).name == "elsewhere"


def test_search_settings_change_in_the_file_too(run: Run, tmp_path: Path) -> None:
    run.update(scripted.space(trials=99))
    assert run.space.search.trials == Run.open("first", tmp_path).space.search.trials == 99


def test_the_winner_is_the_best_and_among_equals_the_smallest(run: Run) -> None:
    assert run.winner is None
    assert run.best() is None
    for accuracy, params, kinds in (
        (0.7, 5, ("none", "none", "none", "none")),
        (0.9, 30, ("add", "none", "none", "none")),
        (0.9, 20, ("none", "add", "none", "none")),
        (0.9, 20, ("none", "none", "add", "none")),
    ):
        finished(run, accuracy, params, *kinds)
    run.study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={names.METRICS: {"accuracy": 1.0}}))
    run.study.add_trial(create_trial(values=[1.0, 1.0]))  # somebody else's, without metrics
    assert run.winner == 2
    assert run.best() == topology("none", "add", "none", "none")


def test_trials_by_number(run: Run) -> None:
    finished(run, 0.5, 10, "add", "add", "add", "add")
    run.study.add_trial(create_trial(values=[1.0, 1.0]))
    assert run.topology(0) == topology("add", "add", "add", "add")
    with pytest.raises(RunError, match="trial 1 of run 'first' has no topology"):
        run.topology(1)
    with pytest.raises(RunError, match="has no trial 2: it has 2"):
        run.topology(2)
    with pytest.raises(RunError, match="has no trial -1"):
        run.topology(-1)
    assert run.weights(0) is None
    (run.weights_folder / "0.safetensors").write_bytes(b"")
    assert run.weights(0) == run.weights_folder / "0.safetensors"


def test_a_trial_that_another_program_added_can_be_the_winner(run: Run) -> None:
    known = {names.METRICS: {"accuracy": 0.9}}
    run.study.add_trial(create_trial(values=[0.9, 1000], user_attrs=known))
    assert run.winner == 0
    with pytest.raises(RunError, match=r"trial 0 of run .* has no topology"):
        run.best()
