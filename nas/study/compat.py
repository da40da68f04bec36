"""The private parts of Optuna that are used, in one place. tests/study/test_compat.py names and checks each of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial


def trial_id(trial: FrozenTrial) -> int:
    """Return the identifier of a trial in its storage, which all methods of a storage take (Optuna 5.0).

    Only the number of a trial in its study is public.
    """
    return trial._trial_id


def study_key(study: Study) -> Hashable:
    """Return a key that is equal for studies of one storage object with one identifier (Optuna 5.0).

    The public name does not tell apart studies of one name in two storages.
    """
    return study._storage, study._study_id


def store_constraints(study: Study, trial: FrozenTrial, constraints: Sequence[float]) -> None:
    """Store the values of a sampler's constraints_func for a trial that is about to finish (Optuna 5.0).

    Optuna's samplers store them so themselves. The public set_constraint is a method of Trial, but a sampler is given
    a FrozenTrial, and to make a Trial of it would ask the sampler for another proposal.
    """
    values = tuple(float(value) for value in constraints)
    study._storage.set_trial_system_attr(trial._trial_id, "constraints", values)


def enqueued_params(trial: FrozenTrial) -> dict[str, Any] | None:
    """Return the parameters that `Study.enqueue_trial` fixed for a trial; None if it was not enqueued (Optuna 5.0).

    The name of the system attribute that holds them is not documented, and no public method returns them.
    """
    params: dict[str, Any] | None = trial.system_attrs.get("fixed_params")
    return params


def enqueued_attributes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the system attributes that `Study.enqueue_trial(params)` gives to a waiting trial (Optuna 5.0).

    The method itself writes to the storage at once and does not return the trial, but the writer of a search makes its
    trials in a thread of its own and needs their identifiers.
    """
    return {"fixed_params": dict(params)}
