"""The session of a confirmation: what it asks for, what it keeps, and how it goes on."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.searching.confirmation import networks_of
from nas.searching.retrain_session import RetrainSession
from nas.study import Run
from nas.study.attributes import MEASURED, METRICS, REASON, recorded
from nas.study.confirmation import Confirmation
from tests.helpers import runs, scripted
from tests.helpers.confirmations import FIRST, confirmed, noisy, plan_of, searched

MEANS = {"trial 1": 0.90, "trial 2": 0.91, "trial 3": 0.85, "resnet": 0.88, "plain": 0.80}


def test_the_leaders_and_all_baselines_are_confirmed(tmp_path: Path) -> None:
    run = searched(tmp_path)
    assert [one.name for one in networks_of(run, 2, None)] == ["trial 1", "trial 2", "resnet", "plain"]
    assert [one.name for one in networks_of(run, 1, "params")] == ["trial 2", "plain", "resnet"]
    assert [one.name for one in networks_of(run, 9, None, [3])] == ["resnet", "trial 3", "plain"]
    first = networks_of(run, 1, None)[0]
    assert (first.searched, first.params, first.baseline) == (0.95, 800, False)


def test_what_cannot_be_confirmed_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to confirm"):
        networks_of(Run.create(scripted.space(), "empty", tmp_path), 5, None)
    with pytest.raises(RunError, match="has no trial 12"):
        networks_of(searched(tmp_path), 5, None, [12])


def test_every_network_has_the_same_new_seeds(tmp_path: Path) -> None:
    run = searched(tmp_path)
    done = confirmed(run, plan_of(run, seeds=3), noisy(MEANS))
    assert sorted(done) == sorted(itertools.product(MEANS, range(FIRST, FIRST + 3)))
    assert [seed for _, seed in done] == sorted(seed for _, seed in done)  # every network once, then once more


def test_what_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    run = searched(tmp_path)
    first = confirmed(run, plan_of(run, seeds=2), noisy(MEANS), count=4)
    then = confirmed(run, plan_of(run, seeds=2), noisy(MEANS))
    assert sorted(first + then) == sorted(itertools.product(MEANS, (FIRST, FIRST + 1)))
    more = confirmed(run, plan_of(run, seeds=3), noisy(MEANS))
    assert more == [(name, FIRST + 2) for name, _ in more]
    assert len(more) == len(MEANS)
    assert confirmed(run, plan_of(run, seeds=3), noisy(MEANS)) == []
    assert len(confirmed(run, plan_of(run, seeds=3, epochs=9), noisy(MEANS))) == 3 * len(MEANS)


def test_a_training_that_was_cut_off_is_done_again_in_its_trial(tmp_path: Path) -> None:
    run = searched(tmp_path)
    confirmation = Confirmation(run)
    plan = plan_of(run, seeds=1)
    confirmation.begin(plan)
    session = RetrainSession(confirmation, run.space, plan)
    cut = session.ask()
    assert cut is not None
    session.writer.close()  # as if the process had been killed
    confirmed(run, plan, noisy(MEANS))
    study = Confirmation(run).study
    assert study is not None
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * len(MEANS)


def test_a_failure_is_a_result(tmp_path: Path) -> None:
    run = searched(tmp_path)
    usual = noisy(MEANS)
    confirmed(run, plan_of(run, 2), lambda name, seed: "diverged" if name == "plain" else usual(name, seed))
    trials = Confirmation(run).trials().values()
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    assert [recorded(trial)[REASON] for trial in failed] == ["diverged"] * 2
    assert confirmed(run, plan_of(run, 2), usual) == []


def test_the_record_holds_both_splits(tmp_path: Path) -> None:
    run = searched(tmp_path)
    confirmed(run, plan_of(run, 1), lambda name, seed: (0.9, 0.8))
    trial = next(iter(Confirmation(run).trials().values()))
    assert recorded(trial)[METRICS]["accuracy"] == 0.9
    assert recorded(trial)[MEASURED]["test_accuracy"] == 0.8
    assert trial.values == [0.9]


def test_the_weights_of_the_best_training_by_validation_are_kept(tmp_path: Path) -> None:
    run = searched(tmp_path)
    by_seed = {FIRST: (0.5, 0.9), FIRST + 1: (0.7, 0.1), FIRST + 2: (0.6, 0.9)}
    plan = plan_of(run, 3)
    confirmed(run, plan, lambda name, seed: by_seed[seed], count=8)
    confirmed(run, plan, lambda name, seed: by_seed[seed])
    kept = {path.read_bytes().decode() for path in Confirmation(run).weights_folder.iterdir()}
    assert kept == {f"{name} {FIRST + 1}" for name in MEANS}


def test_the_search_goes_on_as_if_nothing_had_been_confirmed(tmp_path: Path) -> None:
    run = searched(tmp_path)
    before = run.frame()
    confirmed(run, plan_of(run, 1), noisy(MEANS))
    assert Run.open("mine", tmp_path).frame().equals(before)
    runs.finished(run, 0.99, 10, "concat", "none", "none", "none")
    assert run.winner == 5
