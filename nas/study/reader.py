"""StudyReader: whatever is read of a study to look at it, and not to search, is read by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nas.errors import DamagedRecord, RunError, message_of
from nas.study.database import Select, read

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from nas.study.tables import DamagedTrial, TrialRows

T = TypeVar("T")


class StudyReader:
    """Reads a study, again and again. It never writes, and does not wait for long.

    place  the SQLite file, or the URL of the storage
    name   the name of the study
    owner  whose study it is, for messages: "run 'digits-1'"

    The methods raise RunError, one line that names the owner, if the study cannot be read.
    """

    def __init__(self, place: Path | str, name: str, owner: str) -> None:
        self.place, self.name, self.owner = place, name, owner
        self.damaged: list[DamagedTrial] = []  # the trials that could not be read the last time
        self._ended: list[FrozenTrial] = []  # all before the first that has not; they do not change any more
        self._damaged: list[DamagedTrial] = []  # before the first that has not ended
        self._next = 0  # the identifier of the first trial that has not ended

    def exists(self) -> bool:
        """Return whether the storage holds the study."""
        from nas.study.tables import study_of

        return self._read(lambda select: study_of(select, self.name)) is not None

    def attribute(self, name: str, *, table: str = "system") -> Any:
        """Return an attribute of the study; None if it has none, or if there is no study. table: "system" or "user"."""
        from nas.study.tables import attribute_of, study_of

        def find(select: Select) -> object:
            found = study_of(select, self.name)
            return None if found is None else attribute_of(select, found[0], name, table)

        return self._read(find)

    def records(self) -> list[FrozenTrial]:
        """Return all trials with what their records consist of (nas.study.attributes), in the order of their numbers.

        They lack what takes most of the time to read and is no part of a record: parameters, attributes of other
        programs, and the intermediate values of trials that have ended. A trial that has ended is read once. One that
        is damaged is left out, with a warning: DamagedRecord.
        """
        from nas.study import compat
        from nas.study.tables import trials_of

        rows, objectives = self._read(lambda select: self._rows(select, self._next, whole=False))
        if rows is None:
            return self._trials_by_optuna()
        found, damaged = trials_of(rows, objectives)
        trials, damaged = self._ended + found, self._damaged + damaged
        last = rows.trials[-1][0] if rows.trials else self._next - 1
        self._next = min((row[0] for row in rows.trials if row[2] in ("RUNNING", "WAITING")), default=last + 1)
        self._ended += [trial for trial in found if compat.trial_id(trial) < self._next]
        self._damaged = [one for one in damaged if one.identity < self._next]
        self._warn(damaged)
        return trials

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, each as Optuna returns it. One that is damaged is left out, with a warning."""
        from nas.study.tables import trials_of

        rows, objectives = self._read(lambda select: self._rows(select, 0, whole=True))
        if rows is None:
            return self._trials_by_optuna()
        found, damaged = trials_of(rows, objectives)
        self._warn(damaged)
        return found

    def _rows(self, select: Select, first: int, whole: bool) -> tuple[TrialRows | None, int]:
        """Return the rows of the trials, None for tables that this version does not know, and how many objectives."""
        from nas.study.tables import SCHEMAS, rows_of, schema_of, study_of

        found = study_of(select, self.name)
        if found is None:
            raise RunError(f"the storage holds no study {self.name!r}")
        study, objectives = found
        known = schema_of(select) in SCHEMAS
        return rows_of(select, study, first, whole) if known else None, objectives

    def _trials_by_optuna(self) -> list[FrozenTrial]:
        import optuna

        from nas.study.storage import open_storage, sqlite_url
        from nas.study.tables import ERRORS

        url = sqlite_url(self.place.parent) if isinstance(self.place, Path) else self.place
        try:
            return optuna.load_study(study_name=self.name, storage=open_storage(url)).get_trials(deepcopy=False)
        except ERRORS as error:
            reason = f"{type(error).__name__}: {message_of(error, 100)}"
            raise RunError(f"the study of {self.owner} cannot be read: a trial of it is damaged ({reason})") from None

    def _read(self, use: Callable[[Select], T]) -> T:
        try:
            return read(self.place, use)
        except RunError as error:
            raise type(error)(f"the study of {self.owner} cannot be read: {error}") from None
        except (ValueError, RecursionError):  # JSON
            raise RunError(f"the study of {self.owner} cannot be read: an attribute of it is no JSON") from None

    def _warn(self, damaged: list[DamagedTrial]) -> None:
        self.damaged = damaged
        if damaged:
            first = damaged[0]
            more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            words = f"{self.owner}: {first.name} is damaged and left out ({first.reason}){more}"
            warnings.warn(DamagedRecord(words), stacklevel=3)
