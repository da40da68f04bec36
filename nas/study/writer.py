"""Write a search into its Optuna study, on a background thread, so that no slot waits for a disk or a network.

Writes happen in their order. A trial is created in one transaction. When it ends, its attributes are written before
its state, so that no trial is ever COMPLETE without them. If the process dies, a trial that had just begun may be
missing, and a trial that had just ended may still be RUNNING; a resumed search queues the latter again.
"""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from nas.errors import RunError
from nas.files import write_whole
from nas.study import compat
from nas.study.attributes import OUTCOME, number_at
from nas.study.shown import user_attributes
from nas.study.worker import Worker

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

T = TypeVar("T")
REPORT_S = 0.5  # seconds: a function may report a thousand steps in a second, and each write takes milliseconds


class TrialHandle(NamedTuple):
    """The id of a trial in the storage, and its number in the study."""

    id: int
    number: int


def resolved(handle: TrialHandle) -> Future[TrialHandle]:
    """Return a future that holds `handle` already, for a trial that the storage has created before."""
    future: Future[TrialHandle] = Future()
    future.set_result(handle)
    return future


class Record(Protocol):
    """A study with a folder of weights: a Run, or a Retraining of it."""

    @property
    def storage(self) -> RDBStorage:
        """The storage that holds the study."""

    @property
    def study_name(self) -> str:
        """The name of the study."""

    @property
    def weights_folder(self) -> Path:
        """The folder of the weights, which exists."""


class StudyWriter:
    """Writes the trials of a record. Only `claim`, `requeue`, `flush` and `close` wait for the storage.

    If the storage fails, a later call raises a RunError.
    """

    def __init__(self, record: Record) -> None:
        self.record, self.storage = record, record.storage
        self._study = self.storage.get_study_id_from_name(record.study_name)
        self._worker = Worker("study-writer")
        self._reported: dict[Future[TrialHandle], float] = {}  # when the last epoch of a trial was written

    def trials(self, *states: TrialState) -> dict[TrialHandle, FrozenTrial]:
        """Return the trials of these states (all without any) that the storage holds now; queued writes are missing."""
        trials = self.storage.get_all_trials(self._study, deepcopy=False, states=states or None)
        return {TrialHandle(compat.trial_id(trial), trial.number): trial for trial in trials}

    def add(self, trial: FrozenTrial) -> Future[TrialHandle]:
        """Create a trial with its parameters and attributes."""
        return self._write(self._add, trial)

    def claim(self, handle: TrialHandle) -> bool:
        """Set a WAITING trial to RUNNING; return False if another process was faster, or if somebody has ended it."""
        return bool(self._write(self._unless_ended, self._set_state, handle, TrialState.RUNNING).result())

    def fill_in(self, handle: TrialHandle, trial: FrozenTrial, known: FrozenTrial) -> None:
        """Write the parameters and attributes of `known` that the queued `trial` lacks."""
        params = {name: value for name, value in known.params.items() if name not in trial.params}
        shown = {name: value for name, value in known.user_attrs.items() if trial.user_attrs.get(name) != value}
        noted = {name: value for name, value in known.system_attrs.items() if trial.system_attrs.get(name) != value}
        self._write(self._unless_ended, self._set_params, handle, params, known.distributions)
        self._write(self._unless_ended, self._set_attributes, handle, noted, shown)

    def report(self, handle: Future[TrialHandle], record: Mapping[str, Any], metric: str) -> None:
        """Write the metric of an epoch of a trial that is being trained, but no more than one in REPORT_S for a trial.

        record  that of the epoch: {epoch, <metric>, …}; one without the metric is left out

        The whole curve is written when the trial ends.
        """
        now, epoch, value = time.monotonic(), number_at(record, "epoch"), number_at(record, metric)
        if math.isfinite(epoch) and math.isfinite(value) and now >= self._reported.get(handle, -math.inf) + REPORT_S:
            self._reported[handle] = now
            self._write(self._unless_ended, self._report, handle, int(epoch), float(value))

    def forget(self, handle: Future[TrialHandle]) -> None:
        """Forget a trial that somebody else has ended."""
        self._reported.pop(handle, None)

    def finish(
        self,
        handle: Future[TrialHandle],
        state: TrialState,
        outcome: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> None:
        """Write how a trial ended: what its training adds to the record, then its state and its objective values.

        A trial that a person has ended in the meantime stays as it is.
        """
        self.forget(handle)
        self._write(self._unless_ended, self._finish, handle, state, outcome, values)

    def requeue(self, handles: Sequence[TrialHandle]) -> None:
        """Set trials that began and did not end to WAITING again; they keep their parameters."""
        for handle in handles:
            self._write(self._unless_ended, self._set_state, handle, TrialState.WAITING)
        self.flush()

    def keep_weights(self, handle: Future[TrialHandle], weights: bytes) -> None:
        """Write the weights of a leader (a safetensors file), whole or not at all."""
        self._write(self._keep_weights, handle, weights)

    def drop_weights(self, leaders: set[int]) -> None:
        """Delete the weights of every trial that is not among the leaders."""
        self._write(self._drop_weights, leaders)

    def flush(self) -> None:
        """Wait until everything is written. Raises RunError if something could not be."""
        self._worker.flush()

    def close(self) -> None:
        """Wait until everything is written and end the thread. Raises RunError if something could not be written."""
        self._worker.close()

    def _write(self, write: Callable[..., T], *arguments: Any) -> Future[T]:
        return self._worker.submit(_translating_errors, write, *arguments)

    def _unless_ended(self, write: Callable[..., object], *arguments: Any) -> bool:
        """Call write(*arguments), and return whether it took effect: False if somebody has ended the trial."""
        try:
            return write(*arguments) is not False
        except UpdateFinishedTrialError:
            return False

    def _set_state(self, handle: TrialHandle, state: TrialState) -> bool:
        return self.storage.set_trial_state_values(handle.id, state)

    def _add(self, trial: FrozenTrial) -> TrialHandle:
        identity = self.storage.create_new_trial(self._study, trial)
        return TrialHandle(identity, self.storage.get_trial_number_from_id(identity))

    def _set_params(
        self, handle: TrialHandle, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
    ) -> None:
        for name, value in params.items():
            internal = distributions[name].to_internal_repr(value)
            self.storage.set_trial_param(handle.id, name, internal, distributions[name])

    def _set_attributes(self, handle: TrialHandle, noted: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
        """Write system attributes, which hold the record, and user attributes."""
        for name, value in noted.items():
            self.storage.set_trial_system_attr(handle.id, name, as_json(value))
        for name, value in shown.items():
            self.storage.set_trial_user_attr(handle.id, name, as_json(value))

    def _report(self, handle: Future[TrialHandle], epoch: int, value: float) -> None:
        self.storage.set_trial_intermediate_value(handle.result().id, epoch, value)

    def _finish(
        self,
        handle: Future[TrialHandle],
        state: TrialState,
        outcome: Mapping[str, Any],
        values: Sequence[float] | None,
    ) -> None:
        self._set_attributes(handle.result(), {OUTCOME: outcome} if outcome else {}, user_attributes(outcome))
        self.storage.set_trial_state_values(handle.result().id, state, values)

    def _keep_weights(self, handle: Future[TrialHandle], weights: bytes) -> None:
        write_whole(self.record.weights_folder / f"{handle.result().number}.safetensors", weights)

    def _drop_weights(self, leaders: set[int]) -> None:
        for path in self.record.weights_folder.glob("*.safetensors"):
            if path.stem.isdecimal() and int(path.stem) not in leaders:
                path.unlink(missing_ok=True)


def _translating_errors(write: Callable[..., T], *arguments: Any) -> T:
    """Call write(*arguments). Raises RunError instead of the errors of a storage or a file system."""
    try:
        return write(*arguments)
    except (OptunaError, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise RunError(f"the record cannot be written: {reason}") from error


def as_json(value: Any) -> Any:
    """Return `value` as JSON that every reader accepts.

    Numbers of any library become Python's, infinities and NaN become None, other objects become their str().
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return str(value)
