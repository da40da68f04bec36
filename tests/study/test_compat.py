"""The private parts of Optuna that nas.study.compat uses: an upgrade that removes one fails here."""

from __future__ import annotations

from pathlib import Path

import optuna

from nas.study import compat


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
