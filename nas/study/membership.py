"""The membership of a search: a process that takes part in it shows the others that it is alive, and watches them.

It writes a pulse (nas.study.pulse) every few seconds and sees the pulses of the others. A member is dead when its pulse
does not change for a minute, or at once when its process was on this machine and is gone. The others then remove it
from the lease (nas.study.lease) and train what it was training.

Clocks of machines differ: whoever watches a member counts the seconds between two pulses by its own clock.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from nas import units
from nas.errors import RunError
from nas.study import pulse
from nas.study.lease import STORAGE_ERRORS, Lease, LeasedStudy, Member
from nas.study.process import place, start_of
from nas.study.pulse import MISSED, SILENCE_S, Pulse

if TYPE_CHECKING:
    from nas.study.writer import Record

BEAT_S = 2.0  # seconds between two pulses of a member
GREET_S = 0.1  # seconds between two looks whether the others have noticed a new member
TRIES = 1000  # of processes that change the lease at the same time, one succeeds each time


class Stamp(NamedTuple):
    """The last sign of life of a member, and when this process saw it first (time.monotonic)."""

    alive: datetime
    seen: float


def become_member(record: Record, name: str, *, together: bool = False, settings: str = "") -> Membership:
    """Become a member of the search of a study, and return the membership.

    name      of the run, for messages
    together  whether others may be members
    settings  see Member

    Raises RunError if others search the study and `together` is false, or if their settings differ.
    """
    leased = LeasedStudy(record)
    me = os.getpid()
    for _ in range(TRIES):
        text, lease = leased.read()
        staying = [member for member in lease.members if not member.is_gone()]
        if not together:
            staying = _alive(leased, staying)
        _check(leased, name, staying, together, settings)
        member = Member(
            token=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=me,
            place=place(),
            start=start_of(me) or "",
            seat=lease.of(staying).free_seat(),
            began=datetime.now(UTC),
            settings=settings,
        )
        entered = lease.of([*staying, member])
        if leased.swap(text, entered):
            return Membership(leased, name, member, entered)
    raise RunError(f"run {name!r}: too many processes change its lease")


def _alive(leased: LeasedStudy, members: list[Member]) -> list[Member]:
    """Return the members that are alive; one that seems silent, maybe by its clock, is watched for a few seconds."""
    now = datetime.now(UTC)
    before = {member.token: leased.alive(member) for member in members}
    if all((now - alive).total_seconds() <= SILENCE_S for alive in before.values()):
        return members
    time.sleep(MISSED * BEAT_S)
    young = [member for member in members if (now - before[member.token]).total_seconds() <= SILENCE_S]
    return [member for member in members if member in young or leased.alive(member) != before[member.token]]


def _check(leased: LeasedStudy, name: str, others: Collection[Member], together: bool, settings: str) -> None:
    """Raise RunError if a process cannot become a member beside the others."""
    if others and not together:
        [first, *more] = others
        silence = max(0.0, (datetime.now(UTC) - leased.alive(first)).total_seconds())
        also = f" and {len(more)} more" if more else ""
        raise RunError(
            f"run {name!r} is being searched by process {first.pid} on {first.host}{also} "
            f"(last sign of life {units.duration(silence)} ago): nas search --join {name} searches it together"
        )
    if any(other.settings != settings for other in others):
        raise RunError(
            f"run {name!r} is being searched with other settings than those of this run.yaml: copy its folder again"
        )


class Membership:
    """A membership of the search of a study. In a `with` statement it writes pulses, and ends with it.

    token    of the member
    sign     returns the pulse to write; its token and its lease are filled in
    members  those of the last look
    shared   whether others have been members too, since this one began
    lost     why it is no member any more, although it has not left; None while it is
    """

    def __init__(self, leased: LeasedStudy, name: str, member: Member, lease: Lease) -> None:
        self.leased, self.name, self.member = leased, name, member
        self.lost: str | None = None
        self.sign: Callable[[], Pulse] = self._bare
        self.ending = "stopped before it began"
        self._entered = lease.revision
        self._seen: dict[str, Stamp] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="pulse", daemon=True)
        self._lock = threading.Lock()
        self._note(lease, time.monotonic())
        self.shared = bool(self.others)

    @property
    def token(self) -> str:
        """The token of the member."""
        return self.member.token

    @property
    def others(self) -> list[Member]:
        """The other members, as of the last look."""
        return [member for member in self.members if member.token != self.token]

    def __enter__(self) -> Membership:
        with contextlib.suppress(*STORAGE_ERRORS):
            self.beat()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        with contextlib.suppress(*STORAGE_ERRORS):  # it will be found dead
            self.leave()

    def greet(self) -> None:
        """Wait until every other member has noticed this one, or is dead: from then on they look at what it does."""
        while self.lost is None and not all(map(self._is_noticed_by, self.others)):
            time.sleep(GREET_S)

    def beat(self) -> None:
        """Look at the others and write a pulse."""
        self.look()
        if self.lost is None:
            mine = {"token": self.token, "lease": self._revision}
            pulse.write(self.leased.storage, self.leased.study, self._sign().model_copy(update=mine), self.member.seat)

    def look(self) -> None:
        """Read who the members are, and remove those that are dead."""
        with self._lock:
            now = time.monotonic()
            text, lease = self.leased.read()
            if self.token not in lease.tokens:
                self.lost = (
                    f"run {self.name!r}: this process gave no sign of life for too long, and others may train what it "
                    f"was training: nas search --join {self.name} takes part again"
                )
                return
            away = now - self._confirmed > SILENCE_S / 2  # the storage was: nobody could write
            dead = {
                other.token for other in lease.members if other.token != self.token and self._dies(other, now, away)
            }
            if dead:
                left = lease.of([member for member in lease.members if member.token not in dead])
                lease = left if self.leased.swap(text, left) else lease
            self._note(lease, now)

    def confirm(self) -> None:
        """Raise RunError if this process is no member any more. It asks only if the last look was long ago."""
        if self.lost is None and time.monotonic() - self._confirmed > SILENCE_S / 2:
            self.look()
        if self.lost is not None:
            raise RunError(self.lost)

    def leave(self) -> None:
        """Write the last pulse, and end the membership."""
        last = self._sign()
        mine = {"token": self.token, "lease": self._revision, "ended": last.ended or self.ending}
        text, lease = self.leased.read()
        while self.token in lease.tokens:
            pulse.write(self.leased.storage, self.leased.study, last.model_copy(update=mine), self.member.seat)
            if self.leased.swap(text, lease.of([one for one in lease.members if one.token != self.token])):
                return
            text, lease = self.leased.read()

    def _beat_on(self) -> None:
        while self.lost is None and not self._over.wait(BEAT_S):
            with contextlib.suppress(*STORAGE_ERRORS):
                self.beat()

    def _note(self, lease: Lease, now: float) -> None:
        self.members, self._revision, self._confirmed = lease.members, lease.revision, now
        self.shared = getattr(self, "shared", False) or bool(self.others)

    def _dies(self, other: Member, now: float, away: bool) -> bool:
        """Return whether another member is dead; `away` starts the count of the seconds anew."""
        if other.is_gone():
            return True
        alive = self.leased.alive(other)
        last = self._seen.get(other.token)
        if last is None or last.alive != alive or away:
            self._seen[other.token] = Stamp(alive, now)
            return False
        return now - last.seen > SILENCE_S

    def _is_noticed_by(self, other: Member) -> bool:
        found = self.leased.pulse_of(other)
        return found is not None and found.lease >= self._entered

    def _sign(self) -> Pulse:
        try:
            return self.sign()
        except Exception:  # noqa: BLE001  # a figure that cannot be computed must not look like death
            return self._bare()

    def _bare(self) -> Pulse:
        member = self.member
        return Pulse(host=member.host, pid=member.pid, alive=datetime.now(UTC), every=BEAT_S, slots=0)
