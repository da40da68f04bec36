"""The private parts of Optuna that are used. tests/study/test_compat.py names and checks each."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna.study._frozen import FrozenStudy as FrozenStudy


class Held(NamedTuple):
    """The state of a trial, and its owner, which is the value of a system attribute."""

    state: TrialState
    owner: str | None


def trial_id(trial: FrozenTrial) -> int:
    """Return the identifier of a trial in its storage, which all methods of a storage take (Optuna 5.0).

    Only the number of a trial in its study is public.
    """
    return trial._trial_id


def renumbered_trial(trial: FrozenTrial, identifier: int) -> FrozenTrial:
    """Return a shallow copy of a trial with another identifier (Optuna 5.0)."""
    other = copy.copy(trial)
    other._trial_id = identifier
    return other


def study_id(study: FrozenStudy) -> int:
    """Return the identifier of a study in its storage, which all methods of a storage take (Optuna 5.0).

    `BaseStorage.get_all_studies` returns such studies; only their names are public.
    """
    return study._study_id


def renumbered_study(study: FrozenStudy, identifier: int) -> FrozenStudy:
    """Return a shallow copy of a study with another identifier (Optuna 5.0)."""
    other = copy.copy(study)
    other._study_id = identifier
    return other


def cached_storage(storage: BaseStorage) -> BaseStorage:
    """Return the storage with a layer that reads a finished trial once, as every `Study` uses it (Optuna 5.0).

    Its function is not documented: "only for internal usage".
    """
    return optuna.storages.get_storage(storage)


def study_attribute(storage: RDBStorage, study: int, name: str) -> str | None:
    """Return the text of a system attribute of a study, which `swap_study_attribute` compares; None without one."""
    from optuna.storages._rdb.models import StudySystemAttributeModel as Attribute

    query = sqlalchemy.select(Attribute.value_json).where(Attribute.study_id == study, Attribute.key == name)
    with storage.engine.connect() as connection:
        text: str | None = connection.execute(query).scalar()
    return text


def swap_study_attribute(storage: RDBStorage, study: int, name: str, old: str | None, new: str) -> bool:
    """Replace the text of a system attribute of a study, and return True; or return False if it is not `old` any more.

    old  None if there was no such attribute
    new  JSON; it must differ from every text that the attribute had before

    Of many processes that call this at the same time, one succeeds. A storage has no public method that compares what
    it replaces (Optuna 5.0); the table and its unique pair of columns, study_id and key, are its own.
    """
    from optuna.storages._rdb.models import StudySystemAttributeModel as Attribute

    here = Attribute.study_id == study, Attribute.key == name
    try:
        with storage.engine.begin() as connection:
            if old is None:
                connection.execute(sqlalchemy.insert(Attribute).values(study_id=study, key=name, value_json=new))
                return True
            change = sqlalchemy.update(Attribute).where(*here, Attribute.value_json == old).values(value_json=new)
            return connection.execute(change).rowcount == 1
    except sqlalchemy.exc.IntegrityError:
        return False


def take_trial(storage: RDBStorage, trial: int, name: str, before: Held, after: Held) -> bool:
    """Set the state and the owner of an unfinished trial in one transaction, and return True.

    name    of the system attribute that holds the owner; None stands for no attribute too
    before  what the trial must hold, otherwise nothing is changed and False is returned; nobody owns a WAITING trial

    A storage has no public method that sets both (Optuna 5.0), so that a process that dies between two calls would
    leave a trial that is trained by somebody else than its owner.
    """
    from optuna.storages._rdb.models import TrialModel, TrialSystemAttributeModel

    trials, attributes = TrialModel.__table__, TrialSystemAttributeModel.__table__
    values: dict[str, Any] = {"state": after.state}
    if after.state == TrialState.RUNNING:
        values["datetime_start"] = _stored_time(datetime.now())
    this = attributes.c.trial_id == trial, attributes.c.key == name
    with storage.engine.connect() as connection:  # rolls back unless it is committed
        change = sqlalchemy.update(trials).where(trials.c.trial_id == trial, trials.c.state == before.state)
        if connection.execute(change.values(**values)).rowcount != 1:  # it also locks the trial
            return False
        text = connection.execute(sqlalchemy.select(attributes.c.value_json).where(*this)).scalar()
        owner = None if text is None else json.loads(text)
        if before.state == TrialState.RUNNING and owner != before.owner:
            return False
        value = {"value_json": json.dumps(after.owner)}
        if text is not None:
            connection.execute(sqlalchemy.update(attributes).where(*this).values(**value))
        elif after.owner is not None:
            connection.execute(sqlalchemy.insert(attributes).values(trial_id=trial, key=name, **value))
        connection.commit()
    return True


def create_trial(storage: RDBStorage, study: int, trial: FrozenTrial) -> tuple[int, int]:
    """Create a trial in one transaction, and return its identifier and its number.

    RDBStorage.create_new_trial (Optuna 5.0) looks for each parameter and attribute before it writes it, which takes
    12 ms for eight of them, and counts all earlier trials. The trial is created without intermediate values.
    """
    from optuna.storages._rdb import models

    trials, studies = models.TrialModel.__table__, models.StudyModel.__table__
    row = {"study_id": study, "state": trial.state, "datetime_start": _stored_time(trial.datetime_start)}
    row["datetime_complete"] = _stored_time(trial.datetime_complete)
    earlier = sqlalchemy.select(trials.c.number).where(trials.c.study_id == study).order_by(trials.c.trial_id.desc())
    with storage.engine.begin() as connection:
        lock = sqlalchemy.select(studies.c.study_id).where(studies.c.study_id == study).with_for_update()
        if connection.execute(lock).scalar() is None:
            raise KeyError("no such study")
        made = connection.execute(sqlalchemy.insert(trials).values(row)).inserted_primary_key
        assert made is not None  # of a single row it never is
        identity = int(made[0])
        before = connection.execute(earlier.where(trials.c.trial_id < identity).limit(1)).scalar()
        number = 0 if before is None else before + 1
        connection.execute(sqlalchemy.update(trials).where(trials.c.trial_id == identity).values(number=number))
        params = [
            {
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for name, distribution in trial.distributions.items()
        ]
        _insert(connection, models.TrialParamModel, identity, params)
        _insert(connection, models.TrialSystemAttributeModel, identity, _attributes(trial.system_attrs))
        _insert(connection, models.TrialUserAttributeModel, identity, _attributes(trial.user_attrs))
        _insert(connection, models.TrialValueModel, identity, _values(trial.values))
    return identity, number


def end_trial(
    storage: RDBStorage,
    trial: int,
    state: TrialState,
    values: Sequence[float] | None,
    system_attrs: Mapping[str, Any],
    user_attrs: Mapping[str, Any],
) -> bool:
    """Write attributes of a trial, its state and its values in one transaction; return False if it has ended before.

    The public methods need a transaction for each attribute (Optuna 5.0), which takes 2 ms.
    """
    from optuna.storages._rdb import models

    trials, ended = models.TrialModel.__table__, [each for each in TrialState if each.is_finished()]
    this = trials.c.trial_id == trial, trials.c.state.not_in(ended)
    with storage.engine.begin() as connection:
        now = _stored_time(datetime.now())
        change = sqlalchemy.update(trials).where(*this).values(state=state, datetime_complete=now)
        if connection.execute(change).rowcount != 1:  # it also locks the trial
            return False
        for model, attributes in (
            (models.TrialSystemAttributeModel, system_attrs),
            (models.TrialUserAttributeModel, user_attrs),
        ):
            table = model.__table__
            if attributes:
                old = sqlalchemy.delete(table).where(table.c.trial_id == trial, table.c.key.in_(list(attributes)))
                connection.execute(old)
            _insert(connection, model, trial, _attributes(attributes))
        _insert(connection, models.TrialValueModel, trial, _values(values))
    return True


def report_values(storage: RDBStorage, reported: Mapping[int, tuple[int, float]]) -> None:
    """Write intermediate values of RUNNING trials in one transaction: identifier → step and value.

    The public set_trial_intermediate_value needs one for each (Optuna 5.0), which takes 3 ms.
    """
    from optuna.storages._rdb import models

    trials, table = models.TrialModel.__table__, models.TrialIntermediateValueModel.__table__
    this = trials.c.trial_id.in_(list(reported)), trials.c.state == TrialState.RUNNING
    with storage.engine.begin() as connection:
        for (trial,) in connection.execute(sqlalchemy.select(trials.c.trial_id).where(*this)).all():
            step, value = reported[trial]
            connection.execute(sqlalchemy.delete(table).where(table.c.trial_id == trial, table.c.step == step))
            number, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
            row = {"step": step, "intermediate_value": number, "intermediate_value_type": kind}
            _insert(connection, models.TrialIntermediateValueModel, trial, [row])


def _insert(connection: sqlalchemy.Connection, model: Any, trial: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of a trial into the table of a model."""
    if rows:
        connection.execute(sqlalchemy.insert(model.__table__), [{"trial_id": trial, **row} for row in rows])


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": name, "value_json": json.dumps(value)} for name, value in attributes.items()]


def _values(values: Sequence[float] | None) -> list[dict[str, Any]]:
    from optuna.storages._rdb.models import TrialValueModel

    stored = map(TrialValueModel.value_to_stored_repr, values or ())
    return [{"objective": place, "value": value, "value_type": kind} for place, (value, kind) in enumerate(stored)]


def _stored_time(time: datetime | None) -> datetime | None:
    """Return a local time, without a zone, as Optuna stores it: in UTC, without a zone."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def changed_trials(storage: RDBStorage, study: int, known: Mapping[int, TrialState], last: int) -> list[FrozenTrial]:
    """Return the trials of a study that are new, or whose state is another one, in their order.

    known  identifier → state of the unfinished trials as they were seen last
    last   the greatest identifier that was seen; a study's trials have identifiers in the order of their creation

    The public get_all_trials reads every trial in whole (Optuna 5.0).
    """
    from optuna.storages._rdb.models import TrialModel

    columns = TrialModel.trial_id, TrialModel.state
    new = TrialModel.trial_id > last
    query = sqlalchemy.select(*columns).where(TrialModel.study_id == study)
    with storage.engine.connect() as connection:
        found = connection.execute(query.where(new | TrialModel.trial_id.in_(known))).all()
    changed = {identity for identity, state in found if known.get(identity) != state}
    return trials_of(storage, study, changed)


def trials_of(storage: RDBStorage, study: int, identities: Collection[int]) -> list[FrozenTrial]:
    """Return the trials of a study with these identifiers, in their order (Optuna 5.0).

    No public method takes several.
    """
    if not identities:
        return []
    read = storage._get_trials(study, None, set(identities), max(identities))
    return [trial for trial in read if trial._trial_id in identities]


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


def artifact_attribute(name: str, filename: str, mimetype: str) -> dict[str, str]:
    """Return the system attribute of a trial or study that shows the file `name` of the artifact store (Optuna 5.0).

    name      of hexadecimal digits and dashes, which the dashboard asks for
    filename  the name under which it is downloaded

    The public upload_artifact writes the same with a name that it draws, so that a file could not be replaced; and it
    takes a commit of its own before a trial has ended, after which it cannot.
    """
    facts = {"artifact_id": name, "filename": filename, "mimetype": mimetype, "encoding": None}
    return {f"artifacts:{name}": json.dumps(facts)}
