"""One Optuna storage that is made of the storages of many runs, for a dashboard that shows them all."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.errors import RunError
from nas.watching.identifiers import join, local_key, split
from nas.watching.storages import OpenStorage, Storages

if TYPE_CHECKING:
    from nas.study.compat import FrozenStudy


class UnionStorage(BaseStorage):
    """All studies of all storages: what is read comes from the storage of the study, and what is written goes there.

    Identifiers are those of nas.watching.identifiers. The second of two studies of one name is shown with the name of
    its run. Studies are not created here, since they would belong to no run.
    """

    def __init__(self, storages: Storages) -> None:
        self.storages = storages

    def identifier(self, one: OpenStorage, name: str) -> int:
        """Return the identifier of the study of that name in a storage. Raises RunError if there is none."""
        if (local := one.find(name)) is None:
            raise RunError(f"the storage of run {one.label!r} holds no study {name!r}")
        return join(one.slot, local)

    def _at(self, identifier: int) -> tuple[BaseStorage, int]:
        """Return the storage that an identifier belongs to, and the identifier there."""
        slot, local = split(identifier)
        return self.storages.at(slot).storage, local

    # ---------------------------------------------------------------------------------------------------- studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        raise RunError("no study can be created among all runs: nas search creates one")

    def delete_study(self, study_id: int) -> None:
        storage, local = self._at(study_id)
        storage.delete_study(local)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        storage, local = self._at(study_id)
        storage.set_study_user_attr(local, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        slot, _ = split(study_id)
        storage, local = self._at(study_id)
        storage.set_study_system_attr(local, local_key(slot, key), value)

    def get_study_id_from_name(self, study_name: str) -> int:
        holding = list(self.storages)
        for one in holding:
            if (local := one.find(study_name)) is not None:
                return join(one.slot, local)
        for one in holding:
            inner = study_name.removesuffix(_suffix(one))
            if inner != study_name and (local := one.find(inner)) is not None:
                return join(one.slot, local)
        raise KeyError(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        slot, local = split(study_id)
        own = self.storages.at(slot)
        name = own.storage.get_study_name_from_id(local)
        earlier = any(one.find(name) is not None for one in self.storages if one.slot < slot)
        return name + _suffix(own) if earlier else name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        storage, local = self._at(study_id)
        return storage.get_study_directions(local)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        storage, local = self._at(study_id)
        return storage.get_study_user_attrs(local)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        slot, local = split(study_id)
        one = self.storages.at(slot)
        return one.attributes(one.storage.get_study_system_attrs(local))

    def get_all_studies(self) -> list[FrozenStudy]:
        found: list[FrozenStudy] = []
        names: set[str] = set()
        for one in self.storages:
            try:
                studies = one.studies()
            except StorageInternalError as error:
                self.storages.leave_out(one, error)
                continue
            one.fails = False
            for study in studies:
                found.append(copy.copy(study))
                found[-1].study_name += _suffix(one) if study.study_name in names else ""
            names |= {study.study_name for study in studies}
        return found

    # ----------------------------------------------------------------------------------------------------- trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        slot, _ = split(study_id)
        storage, local = self._at(study_id)
        return join(slot, storage.create_new_trial(local, template_trial))

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        storage, local = self._at(trial_id)
        storage.set_trial_param(local, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        storage, local = self._at(trial_id)
        return storage.set_trial_state_values(local, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        storage, local = self._at(trial_id)
        storage.set_trial_intermediate_value(local, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        storage, local = self._at(trial_id)
        storage.set_trial_user_attr(local, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        storage, local = self._at(trial_id)
        storage.set_trial_system_attr(local, key, value)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        slot, _ = split(study_id)
        storage, local = self._at(study_id)
        return join(slot, storage.get_trial_id_from_study_id_trial_number(local, trial_number))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        slot, local = split(trial_id)
        one = self.storages.at(slot)
        return one.trial(one.storage.get_trial(local))

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        slot, local = split(study_id)
        one = self.storages.at(slot)
        return one.trial(one.storage.get_best_trial(local))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        slot, local = split(study_id)
        one = self.storages.at(slot)
        trials = [one.trial(trial) for trial in one.storage.get_all_trials(local, deepcopy=False, states=states)]
        return copy.deepcopy(trials) if deepcopy else trials


def _suffix(one: OpenStorage) -> str:
    """Return what is added to the name of a study that an older storage holds as well."""
    return f" ({one.label})"
