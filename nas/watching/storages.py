"""The storages of all runs in a folder: open them, find new ones, and leave out what cannot be read."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial

from nas.errors import RunError
from nas.study import Run, compat
from nas.study.storage import address_of, why_not
from nas.study.storage_url import parse_url
from nas.watching.identifiers import join, shared_key, slot_of

if TYPE_CHECKING:
    from nas.study.compat import FrozenStudy

AGAIN_S = 60  # seconds until a run that could not be read is tried again
SETTLED_NS = 10**9  # the time of a file tells two writes apart if they are this far from each other
ARTIFACTS = "artifacts"  # the folder of a run that holds the files of the dashboard


def storage_of(run: Run, read_only: bool) -> BaseStorage:
    """Return the storage of a run, which keeps finished trials in memory. Raises RunError if it cannot be opened.

    A storage that is read only creates no file and no table, and migrates nothing.
    """
    return compat.cached_storage(_open_to_read(run) if read_only else run.storage)


def _open_to_read(run: Run) -> RDBStorage:
    file = _sqlite_file(run)
    if file and not file.is_file():
        raise RunError(f"the study of run {run.name!r} is lost: there is no {file}")
    options = {"creator": _connection_to_read(file)} if file else None
    try:
        return RDBStorage(address_of(parse_url(run.storage_url)), engine_kwargs=options, skip_table_creation=True)
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
        reason = why_not(parse_url(run.storage_url), error)
        raise RunError(f"the storage of run {run.name!r} cannot be opened: {reason}") from None


def _connection_to_read(path: Path) -> Callable[[], sqlite3.Connection]:
    """Return a function that opens a SQLite file so that nothing can be written."""
    address = f"file:{quote(str(path))}?mode=ro"
    return lambda: sqlite3.connect(address, uri=True, timeout=60, check_same_thread=False)


class OpenStorage:
    """The open storage of one run, or of several that share it.

    slot     its number in all identifiers (nas.watching.identifiers)
    storage  as Optuna knows it, with its own identifiers
    runs     the runs that record in it, the oldest first
    fails    whether it could not be read when that was last tried
    """

    def __init__(self, slot: int, storage: BaseStorage, run: Run) -> None:
        self.slot = slot
        self.storage = storage
        self.runs = [run]
        self.fails = False
        self._file = _sqlite_file(run)
        self._trials: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}  # as the storage returned it last, and its copy
        self._studies: tuple[object, list[FrozenStudy]] = (None, [])  # the state of the file, and what was in it

    @property
    def label(self) -> str:
        """The name of its first run."""
        return self.runs[0].name

    def is_there(self) -> bool:
        """Return whether at least one of its runs has not been removed."""
        return any((run.path / "run.yaml").is_file() for run in self.runs)

    def find(self, name: str) -> int | None:
        """Return the local identifier of the study of that name; None if it has none or cannot be read."""
        try:
            return self.storage.get_study_id_from_name(name)
        except (KeyError, StorageInternalError):
            return None

    def studies(self) -> list[FrozenStudy]:
        """Return copies of all studies with shared identifiers. Raises StorageInternalError if they cannot be read.

        The dashboard asks for the studies of all storages at every poll, so that a file is only read if it has changed.
        """
        state = self._state()
        if state is None or state != self._studies[0]:
            found = []
            for study in self.storage.get_all_studies():
                found.append(compat.renumbered_study(study, join(self.slot, compat.study_id(study))))
                found[-1].system_attrs = self.attributes(study.system_attrs)
            self._studies = state, found
        return self._studies[1]

    def _state(self) -> object:
        """Return what changes with every write to a SQLite file; None for other databases, or after a recent write.

        Two writes can be so close to each other that the time of the file is the same.
        """
        if self._file is None:
            return None
        seen = []
        for path in (self._file, self._file.with_name(f"{self._file.name}-wal")):
            with contextlib.suppress(OSError):
                known = path.stat()
                seen.append((known.st_ino, known.st_size, known.st_mtime_ns))
        settled = all(time.time_ns() - modified > SETTLED_NS for *_, modified in seen)
        return tuple(seen) if seen and settled else None

    def attributes(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Return system attributes of a study with shared identifiers of trials in their names."""
        return {shared_key(self.slot, key): value for key, value in attributes.items()}

    def trial(self, trial: FrozenTrial) -> FrozenTrial:
        """Return a copy of the trial with its shared identifier.

        The storage returns one object for a finished trial every time, and so does this function.
        """
        local = compat.trial_id(trial)
        known = self._trials.get(local)
        if known is None or known[0] is not trial:
            known = self._trials[local] = trial, compat.renumbered_trial(trial, join(self.slot, local))
        return known[1]

    def run_of(self, local: int) -> Run:
        """Return the run of a study; the first run for a study that is of none of them."""
        name = self.storage.get_study_name_from_id(local)
        return next((run for run in self.runs if run.study_name == name), self.runs[0])


class Storages:
    """The storages of the runs in `root`, each opened once.

    report  is told, in one line and once, which run is left out and why
    """

    def __init__(self, root: Path, read_only: bool, report: Callable[[str], None]) -> None:
        self.root = root
        self.read_only = read_only
        self.report = report
        self._open: dict[str, OpenStorage] = {}
        self._known: set[Path] = set()
        self._tried: dict[Path, float] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[OpenStorage]:
        """Yield the storages of all runs that are there now, those with the oldest runs first."""
        with self._lock:
            self._find_new()
            found = sorted(self._open.values(), key=lambda one: one.slot)
        return (one for one in found if one.is_there())

    def at(self, slot: int) -> OpenStorage:
        """Return the storage of a slot. Raises KeyError if there is none."""
        for one in list(self._open.values()):
            if one.slot == slot:
                return one
        raise KeyError(slot)

    def holding(self, run: Run) -> OpenStorage:
        """Return the storage of a run. Raises RunError if it cannot be opened."""
        for one in self:
            if any(other.path.resolve() == run.path.resolve() for other in one.runs):
                return one
        raise RunError(f"run {run.name!r} cannot be shown among the runs in {self.root}")

    def leave_out(self, one: OpenStorage, error: Exception) -> None:
        """Report that a storage cannot be read at the moment, unless that was reported before."""
        if not one.fails:
            one.fails = True
            self.report(f"run {one.label!r} is left out: {str(error.__cause__ or error).splitlines()[0][:200]}")

    def _find_new(self) -> None:
        now = time.monotonic()
        paths = {path.parent for path in self.root.glob("*/run.yaml")} - self._known
        due = [path for path in paths if now - self._tried.get(path, -AGAIN_S) >= AGAIN_S]
        for run in sorted(map(Run, due), key=lambda run: (run.created, run.name)):
            try:
                self._add(run)
            except RunError as error:
                if run.path not in self._tried:
                    self.report(f"run {run.name!r} is left out: {error}")
                self._tried[run.path] = now

    def _add(self, run: Run) -> None:
        address = _address(run)
        if address in self._open:
            self._open[address].runs.append(run)
        else:
            slot = slot_of(run.created, {one.slot for one in self._open.values()})
            self._open[address] = OpenStorage(slot, storage_of(run, self.read_only), run)
        self._known.add(run.path)


def _address(run: Run) -> str:
    """Return what two runs have in common if and only if they share a storage."""
    file = _sqlite_file(run)
    return run.storage_url if file is None else str(file)


def _sqlite_file(run: Run) -> Path | None:
    """Return the file of the storage of a run; None if it is in another database."""
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        url = sqlalchemy.make_url(run.storage_url)
        if url.get_backend_name() == "sqlite" and url.database:
            return Path(url.database).resolve()
    return None
