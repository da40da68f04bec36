"""The tables of Optuna that nas.study.tables reads: every trial is the one that Optuna reads itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.study import Run
from nas.study.attributes import CANDIDATE, recorded
from nas.study.database import read
from nas.study.tables import SCHEMAS, attribute_of, schema_of, study_of
from tests.helpers.recorded_studies import record
from tests.helpers.runs import finished


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """A recorded run in SQLite, and one of a storage that it shares with another."""
    root, shared = tmp_path_factory.mktemp("runs"), f"sqlite:///{tmp_path_factory.mktemp('team')}/team.db"
    first = record(root, "other", 40, storage=shared)
    assert len(first.reader.trials()) == 40
    yield {"own": record(root, "own", 100), "shared": record(root, "shared", 40, storage=shared)}


def odd_trials(run: Run) -> None:
    """Add what other programs, people and crashes leave: all kinds of parameters, values, attributes and states."""
    sampler = optuna.samplers.RandomSampler(0)
    study = optuna.load_study(study_name=run.study_name, storage=run.storage, sampler=sampler)
    distributions = {
        "rate": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        "count": optuna.distributions.IntDistribution(1, 9, step=2),
        "word": optuna.distributions.CategoricalDistribution(("a", None, 3, 0.5, True)),
    }
    params = {"rate": 0.1, "count": 5, "word": None}
    values = [float("inf"), float("-inf"), 1e300]
    study.add_trial(create_trial(values=values, params=params, distributions=distributions, user_attrs={"é": "ß\n💥"}))
    reported = {0: float("nan"), 7: float("-inf"), 3: 0.1}
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values=reported, values=None))
    study.add_trial(create_trial(state=TrialState.FAIL, system_attrs={"other": {"deep": [[1], None]}}))
    study.enqueue_trial({"rate": 0.5})
    running = study.ask()
    running.suggest_float("other", 0, 1)
    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"topology": {"old": "record"}}))


def theirs(run: Run) -> list[FrozenTrial]:
    return optuna.load_study(study_name=run.study_name, storage=run.storage_url).get_trials(deepcopy=False)


def all_fields(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    """The fields of trials, public and private, with a NaN as a word: it is not equal to another."""
    return [
        vars(one) | {"intermediate_values": {k: str(v) for k, v in one.intermediate_values.items()}} for one in trials
    ]


@pytest.mark.parametrize("name", ["own", "shared"])
def test_every_trial_is_the_one_that_optuna_reads(runs: dict[str, Run], name: str) -> None:
    odd_trials(Run(runs[name].path))
    run = Run(runs[name].path)
    trials = run.reader.trials()
    assert len(trials) > 40
    assert all_fields(trials) == all_fields(theirs(run))


def test_every_trial_of_a_server_is_the_one_that_optuna_reads(postgresql: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        odd_trials(record(tmp_path, name, 20, storage=postgresql))
    run = Run(tmp_path / "second")
    run.log_in(postgresql)
    assert all_fields(run.reader.trials()) == all_fields(theirs(run))
    assert [recorded(trial) for trial in run.reader.records()] == [recorded(trial) for trial in theirs(run)]


def test_a_record_is_what_optuna_reads_of_it(runs: dict[str, Run]) -> None:
    """Without parameters, attributes of others, and intermediate values of trials that have ended."""
    run = Run(runs["own"].path)
    mine, all_of_it = run.reader.records(), run.reader.trials()
    assert [recorded(trial) for trial in mine] == [recorded(trial) for trial in all_of_it]
    for name in ("number", "state", "values", "datetime_start", "datetime_complete"):
        assert [getattr(trial, name) for trial in mine] == [getattr(trial, name) for trial in all_of_it]
    for one, other in zip(mine, all_of_it, strict=True):
        assert one.params == {}
        assert one.intermediate_values == ({} if one.state.is_finished() else other.intermediate_values)
    own = next(trial for trial in mine if CANDIDATE in trial.system_attrs)
    assert own.user_attrs == {} and set(own.system_attrs) <= {"nas:candidate", "nas:outcome"}


def test_trials_that_have_ended_are_read_once(run: Run) -> None:
    finished(run, 0.5, 10, "none", "none", "none", "none")
    run.study.enqueue_trial({"block01.skip": "add"})
    finished(run, 0.6, 10, "add", "none", "none", "none")
    reader = Run(run.path).reader
    first = reader.records()
    assert [trial.state.name for trial in first] == ["COMPLETE", "WAITING", "COMPLETE"]
    run.study.tell(run.study.ask(), state=TrialState.FAIL)
    finished(run, 0.7, 10, "none", "add", "none", "none")
    second = reader.records()
    assert [trial.state.name for trial in second] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert second[0] is first[0]
    third = reader.records()
    assert third == second and all(one is other for one, other in zip(third, second, strict=True))


def test_the_schema_of_the_installed_optuna_is_known(run: Run) -> None:
    assert read(run.path / "study.db", schema_of) == run.storage.get_head_version() in SCHEMAS


def test_another_schema_is_left_to_optuna(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(run, 0.5, 10, "none", "none", "none", "none")
    monkeypatch.setattr("nas.study.tables.SCHEMAS", ("another",))
    reader = Run(run.path).reader
    assert reader.records() == reader.trials() == theirs(run)


def test_attributes_of_a_study(run: Run) -> None:
    run.study.set_user_attr("who", ["me"])
    assert run.reader.attribute("who", table="user") == ["me"]
    assert run.reader.attribute("study:metric_names") == ["accuracy", "params"]
    assert run.reader.attribute("nothing") is None
    file = run.path / "study.db"
    assert read(file, lambda select: study_of(select, "first")) == (1, 2)
    assert read(file, lambda select: study_of(select, "second")) is None
    assert read(file, lambda select: attribute_of(select, 1, "who", "user")) == ["me"]


def test_times_are_local(run: Run) -> None:
    before = datetime.now()
    run.study.tell(run.study.ask(), state=TrialState.FAIL)
    [trial] = run.reader.records()
    assert trial.datetime_start is not None and before <= trial.datetime_start <= datetime.now()
