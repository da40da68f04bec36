"""Writing a search into its study, in order, on a thread of its own, so that no slot waits for a disk or a network.

A trial is created whole, in one transaction, and so is what it learned in the end: first its attributes, then its
state, so that no trial is ever COMPLETE without them. What is lost when the process dies are trials that had just
begun (they are simply not there) or had just ended (they are RUNNING, and are queued again).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState

from nas.errors import RunError
from nas.files import write_whole
from nas.study import Run
from nas.study.worker import Worker

T = TypeVar("T")


class Entry(NamedTuple):
    """Where a candidate stands in the record."""

    id: int
    number: int


def settled(entry: Entry) -> Future[Entry]:
    """An entry that is known already, where one that is still being written might stand."""
    future: Future[Entry] = Future()
    future.set_result(entry)
    return future


class Record:
    """The writer of a run. Only `take`, `requeue`, `flush` and `close` wait for the storage.

    What the storage refuses is raised, as a RunError, by a later call.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.storage = run, run.storage
        self._study = self.storage.get_study_id_from_name(run.study_name)
        self._worker = Worker("record")

    def trials(self, *states: TrialState) -> dict[Entry, FrozenTrial]:
        """What the record holds now, but for what is still being written."""
        trials = self.storage.get_all_trials(self._study, deepcopy=False, states=states or None)
        return {Entry(trial._trial_id, trial.number): trial for trial in trials}

    def add(self, trial: FrozenTrial) -> Future[Entry]:
        """A new trial with everything that is known of it."""
        return self._write(self._add, trial)

    def take(self, entry: Entry) -> bool:
        """A queued trial, WAITING until now, is RUNNING; False where somebody else took it."""
        return self._write(self.storage.set_trial_state_values, entry.id, TrialState.RUNNING).result()

    def complete(self, entry: Entry, trial: FrozenTrial, known: FrozenTrial) -> None:
        """The parameters and attributes of `known` that the queued `trial` lacks."""
        params = {name: value for name, value in known.params.items() if name not in trial.params}
        attributes = {name: value for name, value in known.user_attrs.items() if trial.user_attrs.get(name) != value}
        self._write(self._decide, entry, params, known.distributions)
        self._write(self._describe, entry, attributes)

    def finish(
        self,
        entry: Future[Entry],
        state: TrialState,
        attributes: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> None:
        """The trial has ended."""
        self._write(self._finish, entry, state, attributes, values)

    def requeue(self, entries: Sequence[Entry]) -> None:
        """Trials that began and did not end are WAITING again, with their parameters."""
        for entry in entries:
            self._write(self.storage.set_trial_state_values, entry.id, TrialState.WAITING)
        self.flush()

    def keep_weights(self, entry: Future[Entry], weights: bytes) -> None:
        """Weights of a leader, whole or not at all."""
        self._write(self._keep_weights, entry, weights)

    def drop_weights(self, leaders: set[int]) -> None:
        """Those of candidates that lead no more."""
        self._write(self._drop_weights, leaders)

    def flush(self) -> None:
        self._worker.flush()

    def close(self) -> None:
        self._worker.close()

    def _write(self, write: Callable[..., T], *arguments: Any) -> Future[T]:
        return self._worker.do(_written, write, *arguments)

    def _add(self, trial: FrozenTrial) -> Entry:
        identity = self.storage.create_new_trial(self._study, trial)
        return Entry(identity, self.storage.get_trial_number_from_id(identity))

    def _decide(self, entry: Entry, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> None:
        for name, value in params.items():
            internal = distributions[name].to_internal_repr(value)
            self.storage.set_trial_param(entry.id, name, internal, distributions[name])

    def _describe(self, entry: Entry, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            self.storage.set_trial_user_attr(entry.id, name, plain(value))

    def _finish(
        self,
        entry: Future[Entry],
        state: TrialState,
        attributes: Mapping[str, Any],
        values: Sequence[float] | None,
    ) -> None:
        self._describe(entry.result(), attributes)
        self.storage.set_trial_state_values(entry.result().id, state, values)

    def _keep_weights(self, entry: Future[Entry], weights: bytes) -> None:
        write_whole(self.run.weights_folder / f"{entry.result().number}.safetensors", weights)

    def _drop_weights(self, leaders: set[int]) -> None:
        for path in self.run.weights_folder.glob("*.safetensors"):
            if path.stem.isdecimal() and int(path.stem) not in leaders:
                path.unlink(missing_ok=True)


def _written(write: Callable[..., T], *arguments: Any) -> T:
    try:
        return write(*arguments)
    except (OptunaError, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise RunError(f"the record cannot be written: {reason}") from error


def plain(value: Any) -> Any:
    """As JSON that every reader accepts: numbers of any library are Python's, what is not finite is null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)
