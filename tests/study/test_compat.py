"""The private parts of Optuna that nas.study.compat uses: an upgrade that removes one fails here."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas.study import compat
from nas.study.storage import open_storage


def test_trial_id_is_what_a_storage_takes(tmp_path: Path) -> None:
    """FrozenTrial._trial_id"""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    for name in ("first", "second"):  # the second study has other identifiers than numbers
        study = optuna.create_study(study_name=name, storage=storage)
        study.tell(study.ask(), 1.0)
    trial = study.get_trials()[0]
    assert storage.get_trial(compat.trial_id(trial)).number == trial.number == 0
    assert compat.trial_id(trial) != trial.number


def test_study_key_tells_studies_apart() -> None:
    """Study._storage, Study._study_id"""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="one", storage=storage)
    other = optuna.create_study(study_name="two", storage=storage)
    elsewhere = optuna.create_study(study_name="one")
    assert compat.study_key(study) == compat.study_key(optuna.load_study(study_name="one", storage=storage))
    assert len({compat.study_key(each) for each in (study, other, elsewhere)}) == 3


def test_stored_constraints_are_those_that_optuna_reads() -> None:
    """Study._storage, the system attribute "constraints"."""
    study = optuna.create_study()
    running = study.ask()
    compat.store_constraints(study, study.get_trials()[0], [0.5, -1])
    study.tell(running, 1.0)
    assert [*study.get_trials()[0].constraints.values()] == [0.5, -1.0]


def test_enqueued_params_are_those_of_the_study() -> None:
    """The system attribute "fixed_params", read"""
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.25})
    study.add_trial(optuna.trial.create_trial(value=1.0))
    enqueued, other = study.get_trials()
    assert compat.enqueued_params(enqueued) == {"x": 0.25}
    assert compat.enqueued_params(other) is None


def test_optuna_takes_the_parameters_of_enqueued_attributes() -> None:
    """The system attribute "fixed_params", written"""
    study = optuna.create_study()
    waiting = optuna.trial.TrialState.WAITING
    study.add_trial(optuna.trial.create_trial(state=waiting, system_attrs=compat.enqueued_attributes({"x": 0.25})))
    trial = study.ask()
    assert trial.number == 0
    assert trial.suggest_float("x", 0, 1) == 0.25


def test_copies_have_other_identifiers(tmp_path: Path) -> None:
    """FrozenTrial._trial_id, FrozenStudy._study_id"""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    for name in ("first", "second"):
        optuna.create_study(study_name=name, storage=storage).add_trial(optuna.trial.create_trial(value=1.0))
    for study in storage.get_all_studies():
        identifier = compat.study_id(study)
        assert storage.get_study_name_from_id(identifier) == study.study_name
        other = compat.renumbered_study(study, 99)
        assert compat.study_id(other) == 99 and compat.study_id(study) == identifier
        assert (other.study_name, other.directions) == (study.study_name, study.directions)
        (trial,) = storage.get_all_trials(identifier)
        copy = compat.renumbered_trial(trial, 77)
        assert compat.trial_id(copy) == 77 and compat.trial_id(trial) != 77
        assert copy.values == trial.values


def test_a_cached_storage_reads_a_finished_trial_once(tmp_path: Path) -> None:
    """optuna.storages.get_storage"""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    optuna.create_study(storage=storage).add_trial(optuna.trial.create_trial(value=1.0))
    cached = compat.cached_storage(storage)
    assert cached.get_all_trials(1, deepcopy=False)[0] is cached.get_all_trials(1, deepcopy=False)[0]
    assert storage.get_all_trials(1, deepcopy=False)[0] is not storage.get_all_trials(1, deepcopy=False)[0]


def test_optuna_reads_our_artifacts() -> None:
    """The system attribute artifacts:ID of a trial, and of a study."""
    from optuna.artifacts import get_all_artifact_meta

    study = optuna.create_study()
    storage, key = compat.study_key(study)
    attributes = compat.artifact_attribute("3f0c", "3f0c.svg", "image/svg+xml")
    study.add_trial(optuna.trial.create_trial(value=1.0, system_attrs=attributes))
    for name, value in attributes.items():
        storage.set_study_system_attr(key, name, value)  # type: ignore[attr-defined]
    for owner in (study.get_trials()[0], study):
        (meta,) = get_all_artifact_meta(owner, storage=storage)  # type: ignore[arg-type]
        assert (meta.artifact_id, meta.filename, meta.mimetype) == ("3f0c", "3f0c.svg", "image/svg+xml")


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> optuna.storages.RDBStorage:
    """A storage in a file or on a server."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    return open_storage(request.getfixturevalue("postgresql") if request.param == "postgresql" else url)


def test_an_attribute_of_a_study_is_swapped_once(storage: optuna.storages.RDBStorage) -> None:
    """The table study_system_attributes: its columns, and that study_id and key are unique"""
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    assert compat.study_attribute(storage, study, "x") is None
    assert not compat.swap_study_attribute(storage, study, "x", "null", "1")
    assert compat.swap_study_attribute(storage, study, "x", None, "1")
    assert not compat.swap_study_attribute(storage, study, "x", None, "2")
    assert not compat.swap_study_attribute(storage, study, "x", "2", "3")
    assert compat.swap_study_attribute(storage, study, "x", "1", '{"a": 2}')
    assert storage.get_study_system_attrs(study) == {"x": {"a": 2}}
    storage.set_study_system_attr(study, "x", [3])
    assert compat.study_attribute(storage, study, "x") == "[3]"
    with ThreadPoolExecutor(8) as pool:
        swapped = pool.map(lambda at: compat.swap_study_attribute(storage, study, "x", "[3]", f"[3, {at}]"), range(8))
    assert sum(swapped) == 1


def test_a_trial_is_taken_with_its_owner(storage: optuna.storages.RDBStorage) -> None:
    """The tables trials and trial_system_attributes; a taken trial is as Optuna would have left it"""
    study = optuna.load_study(
        study_name=storage.get_study_name_from_id(storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])),
        storage=storage,
    )
    study.enqueue_trial({"x": 0.5})
    waiting, running = compat.Held(TrialState.WAITING, None), compat.Held(TrialState.RUNNING, "a")
    identity = compat.trial_id(study.get_trials()[0])

    def take(before: compat.Held, after: compat.Held) -> bool:
        return compat.take_trial(storage, identity, "owner", before, after)

    assert not take(running, waiting)
    began = datetime.now().replace(microsecond=0)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: take(waiting, running), range(8))) == 1
    [trial] = study.get_trials()
    assert trial.state == TrialState.RUNNING and trial.system_attrs["owner"] == "a"
    assert trial.datetime_start is not None
    assert began <= trial.datetime_start <= datetime.now()
    assert not take(compat.Held(TrialState.RUNNING, "b"), waiting)
    assert not take(compat.Held(TrialState.RUNNING, None), waiting)
    assert study.get_trials()[0].state == TrialState.RUNNING
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: take(running, waiting), range(8))) == 1
    [trial] = study.get_trials()
    assert (trial.state, trial.system_attrs["owner"]) == (TrialState.WAITING, None)
    assert take(waiting, compat.Held(TrialState.RUNNING, "b"))
    storage.set_trial_state_values(identity, TrialState.COMPLETE, [1.0])
    assert not take(compat.Held(TrialState.RUNNING, "b"), waiting)
    assert study.best_value == 1.0


def test_only_trials_that_have_changed_are_read(storage: optuna.storages.RDBStorage) -> None:
    """RDBStorage._get_trials, the columns of the table trials"""
    other = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    first, second = storage.create_new_trial(study), storage.create_new_trial(study)
    storage.create_new_trial(other)

    def changed(known: dict[int, TrialState], last: int) -> list[tuple[int, TrialState]]:
        return [(compat.trial_id(one), one.state) for one in compat.changed_trials(storage, study, known, last)]

    running = TrialState.RUNNING
    assert changed({}, -1) == [(first, running), (second, running)]
    assert changed({first: running, second: running}, second) == []
    storage.set_trial_state_values(first, TrialState.FAIL)
    third = storage.create_new_trial(study)
    assert changed({first: running, second: running}, second) == [(first, TrialState.FAIL), (third, running)]
    assert changed({second: running, third: running}, third) == []
    assert [one.number for one in compat.trials_of(storage, study, [third, first])] == [0, 2]


CHOICES = optuna.distributions.CategoricalDistribution(["none", "add", 3, True, None])
PARTS = {
    "params": {"b": "add", "a": 0.25, "c": None, "n": 3},
    "distributions": {
        "b": CHOICES,
        "a": optuna.distributions.FloatDistribution(0.0, 1.0),
        "c": CHOICES,
        "n": optuna.distributions.IntDistribution(1, 9),
    },
    "user_attrs": {"é": [1, {"x": None}], "text": "y" * 5000},
    "system_attrs": {"nas:candidate": {"key": "k", "list": [1.5]}},
}


@pytest.mark.parametrize(
    "trial",
    [
        optuna.trial.create_trial(state=TrialState.RUNNING, **PARTS),
        optuna.trial.create_trial(state=TrialState.WAITING),
        optuna.trial.create_trial(state=TrialState.FAIL, system_attrs={"reason": "\ud800"}),
        optuna.trial.create_trial(values=[1.0, float("inf")], **PARTS),
    ],
    ids=["running", "waiting", "failed", "complete"],
)
def test_a_trial_is_created_as_optuna_creates_it(
    storage: optuna.storages.RDBStorage, trial: optuna.trial.FrozenTrial
) -> None:
    """The tables trials, trial_params, trial_values and trial_*_attributes."""
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE] * 2)
    theirs = storage.get_trial(storage.create_new_trial(study, trial))
    identity, number = compat.create_trial(storage, study, trial)
    ours = storage.get_trial(identity)
    assert (compat.trial_id(ours), ours.number, number) == (identity, 1, 1)
    ours.number = theirs.number
    assert ours == compat.renumbered_trial(theirs, identity)
    assert list(ours.params) == list(theirs.params)
    after = storage.create_new_trial(study)  # and Optuna counts on
    assert storage.get_trial(after).number == 2
    with pytest.raises(KeyError):
        compat.create_trial(storage, 99, trial)


def test_trials_that_many_create_at_once_have_different_numbers(storage: optuna.storages.RDBStorage) -> None:
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    other = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    trial = optuna.trial.create_trial(state=TrialState.RUNNING)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda at: compat.create_trial(storage, (study, other)[at % 2], trial), range(40)))
    assert sorted(number for _, number in made) == sorted([*range(20), *range(20)])
    assert sorted(one.number for one in storage.get_all_trials(study)) == list(range(20))


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL])
def test_a_trial_ends_once_and_as_optuna_ends_it(storage: optuna.storages.RDBStorage, state: TrialState) -> None:
    """The tables trials, trial_values and trial_*_attributes."""
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE] * 2)
    begun = optuna.trial.create_trial(state=TrialState.RUNNING, **PARTS)
    values = [2.5, float("-inf")] if state == TrialState.COMPLETE else None
    noted, shown = {"nas:outcome": {"curve": [1]}, "nas:candidate": 2}, {"text": "new"}
    theirs, (identity, _) = storage.create_new_trial(study, begun), compat.create_trial(storage, study, begun)
    for name, value in noted.items():
        storage.set_trial_system_attr(theirs, name, value)
    storage.set_trial_user_attr(theirs, "text", "new")
    storage.set_trial_state_values(theirs, state, values)
    with ThreadPoolExecutor(4) as pool:
        end = functools.partial(compat.end_trial, storage, identity, state, values, noted, shown)
        assert sum(pool.map(lambda _: end(), range(8))) == 1
    ours, expected = storage.get_trial(identity), compat.renumbered_trial(storage.get_trial(theirs), identity)
    assert ours.datetime_complete is not None and expected.datetime_complete is not None
    assert abs((ours.datetime_complete - expected.datetime_complete).total_seconds()) < 60
    ours.number, ours.datetime_complete = expected.number, expected.datetime_complete
    assert ours == expected
    assert not compat.end_trial(storage, 99, state, values, {}, {})


def test_values_are_reported_as_optuna_reports_them(storage: optuna.storages.RDBStorage) -> None:
    """The table trial_intermediate_values."""
    study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    first, second, ended = (storage.create_new_trial(study) for _ in range(3))
    storage.set_trial_state_values(ended, TrialState.FAIL)
    compat.report_values(storage, {first: (1, 0.5), second: (3, float("nan")), ended: (1, 0.5), 99: (1, 0.5)})
    compat.report_values(storage, {first: (1, 0.25), second: (4, float("inf"))})
    reported = [storage.get_trial(one).intermediate_values for one in (first, second, ended)]
    assert reported[0] == {1: 0.25} and reported[2] == {}
    assert str(reported[1]) == str({3: float("nan"), 4: float("inf")})
