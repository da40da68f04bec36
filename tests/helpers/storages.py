"""Records of every kind of storage, storages that fail, and a lock that another process holds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
from optuna.storages import RDBStorage

from nas.study import compat
from nas.study.outage import StorageAway

WRITES = ("set_trial_param", "set_trial_state_values", "set_trial_user_attr", "set_trial_system_attr")
OURS = ("create_trial", "end_trial", "report_values", "take_trial")  # of nas.study.compat


@dataclass
class SomeRecord:
    """A new study of a storage, with folders of its own: what a StudyWriter takes."""

    storage: RDBStorage
    study_name: str
    path: Path

    def __post_init__(self) -> None:
        optuna.create_study(study_name=self.study_name, storage=self.storage, directions=["maximize", "minimize"])
        self.weights_folder.mkdir(parents=True)

    @property
    def weights_folder(self) -> Path:
        return self.path / "weights"

    @property
    def journal_folder(self) -> Path:
        return self.path / "journal"

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """What the storage holds now."""
        study = self.storage.get_study_id_from_name(self.study_name)
        return self.storage.get_all_trials(study)


@contextlib.contextmanager
def failing(storage: RDBStorage, at: int, *, arrives: bool = False, error: Exception | None = None) -> Iterator[Any]:
    """Let one write of the storage raise, the first being 1; yield a list of the names of all that were called.

    arrives  whether that write is done although it raises
    """
    called: list[str] = []

    def guarded(owner: object, name: str) -> Callable[..., Any]:
        write = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            called.append(name)
            if len(called) != at:
                return write(*arguments, **named)
            if arrives:
                write(*arguments, **named)
            raise error or StorageAway("the connection broke")

        return call

    with contextlib.ExitStack() as stack:
        for owner, names in ((storage, WRITES), (compat, OURS)):
            for name in names:
                stack.enter_context(mock.patch.object(owner, name, guarded(owner, name)))
        yield called


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a SQLite file as another process would, to the end of the context."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()
