"""The writes of a search into its Optuna study, each of which may be done twice.

A connection may break after a write has arrived, so that it is tried again: a trial is not created twice, a claim is
not taken for that of another process, and a trial that has ended stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from nas.errors import RunError, message_of
from nas.files import write_whole
from nas.study import compat
from nas.study.attributes import CANDIDATE, OUTCOME, OWNER, REASON
from nas.study.compat import Held
from nas.study.database import Rows
from nas.study.journal import Result, is_created, same_candidate
from nas.study.outage import StorageAway
from nas.study.plain import as_json
from nas.study.shown import user_attributes
from nas.study.storage import driver_message
from nas.study.tables import ERRORS, SCHEMAS, rows_of, schema_of, trials_of

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


class TrialHandle(NamedTuple):
    """The id of a trial in the storage, and its number in the study.

    lost  why the trial ended as soon as it was created: another process was faster; None if it is to be trained
    """

    id: int
    number: int
    lost: str | None = None


Judge = Callable[[TrialHandle], str | None]  # returns why a trial that was created has to end at once, or None
QUEUED = Held(TrialState.WAITING, None)


def resolved(handle: TrialHandle) -> Future[TrialHandle]:
    """Return a future that holds `handle` already, for a trial that the storage has created before."""
    future: Future[TrialHandle] = Future()
    future.set_result(handle)
    return future


def created(handle: Future[TrialHandle], patience: float | None = None) -> TrialHandle | None:
    """Return a trial once the storage has created it; None if it does not within so many seconds, or never will."""
    wait((handle,), patience)
    return handle.result() if is_created(handle) else None


class Record(Protocol):
    """A study with folders for its weights, its journal and its checkpoints: a Run, or a Retraining of it."""

    @property
    def storage(self) -> RDBStorage:
        """The storage that holds the study."""

    @property
    def study_name(self) -> str:
        """The name of the study."""

    @property
    def weights_folder(self) -> Path:
        """The folder of the weights, which exists."""

    @property
    def journal_folder(self) -> Path:
        """The folder of the results that are not in the storage yet; it need not exist."""

    @property
    def checkpoints_folder(self) -> Path:
        """The folder of the checkpoints, which exists while there are any."""


class TrialWrites:
    """Writes trials of a record. `again` is whether a write was tried before, and may have arrived.

    owner  stands in every trial that is begun here (nas.study.attributes.OWNER)

    Where a function returns False, it had no effect: somebody else has ended the trial, or has taken it over.
    """

    def __init__(self, record: Record, owner: str | None = None) -> None:
        self.record, self.storage, self.owner = record, record.storage, owner
        try:
            self.study = self.storage.get_study_id_from_name(record.study_name)
        except KeyError:
            raise RunError(f"the storage holds no study {record.study_name!r}") from None

    def trials(self, *states: TrialState) -> dict[TrialHandle, FrozenTrial]:
        """Return the trials of these states; all without any. Raises RunError if one of the study is damaged."""
        try:
            trials = self._all() if not states else None
            if trials is None:
                trials = self.storage.get_all_trials(self.study, deepcopy=False, states=states or None)
        except StorageAway:
            raise
        except (SQLAlchemyError, OptunaError) as error:
            raise RunError(f"the study cannot be read: {driver_message(error)}") from error
        except ERRORS as error:
            reason = f"{type(error).__name__}: {message_of(error, 100)}"
            raise RunError(f"a trial of the study is damaged, which nas list names: {reason}") from error
        return {TrialHandle(compat.trial_id(trial), trial.number): trial for trial in trials}

    def _all(self) -> list[FrozenTrial] | None:
        """Return all trials, in a sixth of the time that Optuna takes; None if the tables are of another version."""
        with self.storage.engine.connect() as connection:

            def select(sql: str, **values: Any) -> Rows:
                return connection.execute(sqlalchemy.text(sql), values).fetchall()

            if schema_of(select) not in SCHEMAS:
                return None
            rows = rows_of(select, self.study, first=0, whole=True)
        trials, damaged = trials_of(rows, len(self.storage.get_study_directions(self.study)))
        if damaged:
            raise RunError(f"{damaged[0].name} of the study is damaged: {damaged[0].reason}")
        return trials

    def add(self, trial: FrozenTrial, again: bool, judge: Judge | None = None) -> TrialHandle:
        """Create a trial with its parameters and attributes; end it if the judge says so."""
        if self.owner is not None and trial.state != TrialState.WAITING:
            trial.system_attrs = {**trial.system_attrs, OWNER: self.owner}
        handle = _same(trial, self._own(trial)) if again else None
        if handle is None:
            handle = TrialHandle(*compat.create_trial(self.storage, self.study, trial))
        if judge is not None and (lost := judge(handle)) is not None:
            self.finish(resolved(handle), TrialState.FAIL, {REASON: lost}, None)
            return TrialHandle(handle.id, handle.number, lost)
        return handle

    def _own(self, trial: FrozenTrial) -> dict[TrialHandle, FrozenTrial]:
        """Return the trials that have the state and the owner of another one."""
        known, owner = self.trials(trial.state), trial.system_attrs.get(OWNER)
        return {handle: each for handle, each in known.items() if each.system_attrs.get(OWNER) == owner}

    def claim(self, handle: TrialHandle, began: datetime, again: bool) -> bool:
        """Set a WAITING trial to RUNNING; `began` is when that was tried first."""
        if again:
            trial = self.storage.get_trial(handle.id)
            ours = self.owner is None or trial.system_attrs.get(OWNER) == self.owner
            if trial.state == TrialState.RUNNING and ours and trial.datetime_start and trial.datetime_start >= began:
                return True
        return self.take(handle, QUEUED, Held(TrialState.RUNNING, self.owner))

    def take(self, handle: TrialHandle, before: Held, after: Held) -> bool:
        """Set the state and the owner of a trial, unless it has others by now than `before`."""
        return compat.take_trial(self.storage, handle.id, OWNER, before, after)

    def fill_in(
        self,
        handle: TrialHandle,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        noted: Mapping[str, Any],
        shown: Mapping[str, Any],
    ) -> bool:
        """Write parameters, system attributes, which hold the record, and user attributes."""

        def write() -> None:
            for name, value in params.items():
                internal = distributions[name].to_internal_repr(value)
                self.storage.set_trial_param(handle.id, name, internal, distributions[name])
            for name, value in noted.items():
                self.storage.set_trial_system_attr(handle.id, name, as_json(value))
            for name, value in shown.items():
                self.storage.set_trial_user_attr(handle.id, name, as_json(value))

        return _took_effect(write)

    def report(self, reported: Mapping[Future[TrialHandle], tuple[int, float]]) -> None:
        """Write the number and the metric of an epoch of each of these trials that is there and has not ended."""
        there = {handle.result().id: at for handle, at in reported.items() if is_created(handle)}
        if there:
            compat.report_values(self.storage, there)

    def finish(
        self,
        handle: Future[TrialHandle],
        state: TrialState,
        outcome: Mapping[str, Any],
        values: Sequence[float] | None,
    ) -> bool:
        """Write what a training adds to the record of its trial, and how it ended."""
        noted, shown = {OUTCOME: outcome} if outcome else {}, user_attributes(outcome)
        return compat.end_trial(self.storage, handle.result().id, state, values, as_json(noted), as_json(shown))

    def requeue(self, handle: Future[TrialHandle]) -> bool:
        """Set a trial that began here and did not end to WAITING again, if it was created."""
        trial = created(handle)
        return trial is not None and self.take(trial, Held(TrialState.RUNNING, self.owner), QUEUED)

    def check(self, results: Iterable[tuple[Result, FrozenTrial]], known: Mapping[TrialHandle, FrozenTrial]) -> None:
        """Raise RunError unless results of a journal are those of this study, whose trials are `known`."""
        for result, trial in results:
            if result.number is not None:
                _numbered(result.number, trial, known)

    def replay(
        self, result: Result, trial: FrozenTrial, known: Mapping[TrialHandle, FrozenTrial], folder: Path
    ) -> None:
        """Write a result of the journal in a folder, unless its trial has ended; `known` are all of the study."""
        handle = _same(trial, known) if result.number is None else _numbered(result.number, trial, known)
        if handle is None:
            handle = self.add(trial, again=False)
        elif not known[handle].state.is_finished():
            params = {name: value for name, value in trial.params.items() if name not in known[handle].params}
            if self.fill_in(handle, params, trial.distributions, trial.system_attrs, trial.user_attrs):
                _took_effect(lambda: self.storage.set_trial_state_values(handle.id, trial.state, trial.values))
        if result.weights is not None and (folder / result.weights).is_file():
            (folder / result.weights).replace(self._weights(handle))

    def keep_weights(self, handle: Future[TrialHandle], weights: bytes) -> None:
        """Write the weights of a trial (a safetensors file), whole or not at all."""
        write_whole(self._weights(handle.result()), weights)

    def drop_weights(self, leaders: Collection[int], known: Collection[int] | None) -> None:
        """Delete the weights of every trial, or of every known one, that is not among the leaders."""
        for path in self.record.weights_folder.glob("*.safetensors"):
            number = int(path.stem) if path.stem.isdecimal() else None
            if number is not None and number not in leaders and (known is None or number in known):
                path.unlink(missing_ok=True)

    def _weights(self, handle: TrialHandle) -> Path:
        return self.record.weights_folder / f"{handle.number}.safetensors"


def _took_effect(write: Callable[[], object]) -> bool:
    """Call write(), and return whether it took effect: False if somebody has ended the trial."""
    try:
        return write() is not False
    except UpdateFinishedTrialError:
        return False


def _same(trial: FrozenTrial, known: Mapping[TrialHandle, FrozenTrial]) -> TrialHandle | None:
    """Return the newest known trial of the same candidate."""
    same = (one for one, each in known.items() if same_candidate(trial.system_attrs, each.system_attrs))
    return max(same, key=lambda handle: handle.number, default=None)


def _numbered(number: int, trial: FrozenTrial, known: Mapping[TrialHandle, FrozenTrial]) -> TrialHandle:
    """Return the known trial of a number. Raises RunError if it is that of another candidate than `trial`."""
    for handle, each in known.items():
        if handle.number == number:
            if CANDIDATE in trial.system_attrs and not same_candidate(trial.system_attrs, each.system_attrs):
                break
            return handle
    raise RunError(f"the journal is that of another study: there is no such trial {number}")
