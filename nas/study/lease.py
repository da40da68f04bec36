"""The lease of a study: which processes search it now, on whatever machines.

It is a system attribute of the study, and only replaced by a process that has seen what it replaces, so that of many
processes that begin at the same time one is first. How a process becomes a member, and when it is none any more, is
nas.study.membership.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy
from optuna.exceptions import OptunaError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from nas.errors import RunError
from nas.study import compat, pulse
from nas.study.process import place, start_of
from nas.study.pulse import Pulse, Whole, Word

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

    from nas.study import Run
    from nas.study.writer import Record

T = TypeVar("T", bound=BaseModel)
NAME = "nas:lease"  # of the system attribute
STORAGE_ERRORS = (OptunaError, sqlalchemy.exc.SQLAlchemyError)


class Member(BaseModel):
    """A process that searches a study.

    token         tells it apart from every other one; each trial that it trains holds it
    host, pid     where it runs
    place, start  see nas.study.process
    seat          of its pulse
    began         when it became a member, by its own clock
    settings      those of the search: members with other ones cannot search together
    """

    model_config = ConfigDict(frozen=True)

    token: Word
    host: Word
    pid: Whole
    place: Word
    start: Word
    seat: Whole
    began: AwareDatetime
    settings: Word = ""

    def is_gone(self) -> bool:
        """Return whether its process was on this machine and has ended."""
        if self.place != place():
            return False
        start = start_of(self.pid)
        return start is None or ("" not in (start, self.start) and start != self.start)


class Lease(BaseModel):
    """The members of a search.

    revision  how often it was changed
    seats     how many seats there have been
    """

    model_config = ConfigDict(frozen=True)

    revision: Whole = 0
    seats: Whole = 0
    members: tuple[Member, ...] = Field(default=(), max_length=1000)

    @property
    def tokens(self) -> set[str]:
        """The tokens of the members."""
        return {member.token for member in self.members}

    def free_seat(self) -> int:
        """Return the first seat that no member has."""
        taken = {member.seat for member in self.members}
        return next(seat for seat in range(len(taken) + 1) if seat not in taken)

    def of(self, members: Collection[Member]) -> Lease:
        """Return the next lease, with these members."""
        seats = max([self.seats, *(member.seat + 1 for member in members)])
        return Lease(revision=self.revision + 1, seats=seats, members=tuple(members))


class LeasedStudy:
    """A study with its lease and the pulses of its members."""

    def __init__(self, record: Record) -> None:
        self.storage: RDBStorage = record.storage
        self.study = self.storage.get_study_id_from_name(record.study_name)

    def read(self) -> tuple[str | None, Lease]:
        """Return the lease, and its text as the study holds it; one that cannot be read has no members."""
        text = compat.study_attribute(self.storage, self.study, NAME)
        try:
            return text, Lease() if text is None else Lease.model_validate_json(text)
        except ValueError:  # no JSON, or no lease
            return text, Lease()

    def swap(self, text: str | None, lease: Lease) -> bool:
        """Replace the lease, unless another process has replaced it since it had this text."""
        return compat.swap_study_attribute(self.storage, self.study, NAME, text, lease.model_dump_json())

    def pulse_of(self, member: Member) -> Pulse | None:
        """Return the last pulse of a member; None before it has one."""
        found = pulse.read(self.storage, self.study, member.seat)
        return found if found is not None and found.token == member.token else None

    def alive(self, member: Member) -> datetime:
        """Return when a member gave its last sign of life, by its own clock."""
        found = self.pulse_of(member)
        return member.began if found is None else found.alive


def read_pulses(run: Run) -> list[Pulse]:
    """Return the last pulse of every seat of the study of a run; those that cannot be read are left out."""
    seats = getattr(_parsed(Lease, run, NAME), "seats", 0)
    found = (_parsed(Pulse, run, pulse.attribute(seat)) for seat in range(max(1, seats)))
    return [one for one in found if one is not None]


def _parsed(kind: type[T], run: Run, name: str) -> T | None:
    """Return an attribute of the study of a run; None if it has none, or none that can be read."""
    try:
        return kind.model_validate(run.reader.attribute(name))
    except (RunError, ValueError):  # ValueError: another thing, or nothing
        return None
