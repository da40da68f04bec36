"""An outage: the time in which a storage is locked, full or away, and what is tried until it is over."""

from __future__ import annotations

import errno
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import sqlalchemy
from optuna.exceptions import OptunaError
from sqlalchemy.engine import ExceptionContext

from nas.errors import RunError
from nas.study.storage import driver_message
from nas.study.storage_url import without_secrets

T = TypeVar("T")
TIMEOUT_S = 600.0  # seconds for which a search waits for its storage
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0  # between two tries; each pause is twice as long as the one before
SAY_S = 2.0  # an outage that is over sooner is not worth a line
GRACE_S = 10.0  # for an outage when a person has stopped the search

SQLITE_PASSES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
# classes of SQLSTATE: lost connections, read only for now, deadlocks, no resources, locks, and what operators do
STATES_THAT_PASS = {"08", "25", "40", "53", "55", "57"}
DISK_PASSES = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ENFILE, errno.EMFILE, errno.ETIMEDOUT}


class StorageAway(RunError, OptunaError):
    """A storage is locked, full or does not answer; the same may succeed later."""


def raise_if_away(context: ExceptionContext) -> None:
    """Raise StorageAway instead of an error of a driver that may pass: a handler of SQLAlchemy's `handle_error`.

    Optuna would take it for an internal error, and create a trial again whose commit may have arrived.
    """
    error = context.original_exception
    if not context.is_pre_ping and context.sqlalchemy_exception is not None and _passes(error, context.is_disconnect):
        reason = driver_message(error)
        if context.engine is not None:
            reason = without_secrets(reason, context.engine.url)
        raise StorageAway(f"the storage does not answer: {reason}") from error


def _passes(error: BaseException, disconnected: bool) -> bool:
    """Return whether an error of a driver may pass by itself."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in SQLITE_PASSES
    state = getattr(error, "sqlstate", None)
    if state is not None:  # of PostgreSQL
        return disconnected or state[:2] in STATES_THAT_PASS
    return disconnected or type(error).__name__ in ("OperationalError", "InterfaceError")


def is_away(error: Exception) -> bool:
    """Return whether what raised the error may succeed later."""
    if isinstance(error, OSError):
        return error.errno in DISK_PASSES
    return isinstance(error, StorageAway | sqlalchemy.exc.TimeoutError)


class Outage:
    """Tries what fails because of an outage again and again, on the thread that calls `outlast`.

    timeout  seconds after which an outage is not waited for any more
    hurry    set when a person has stopped the search: then an outage is given GRACE_S seconds
    began    called with what went wrong and since when, once an outage is worth a line
    ended    called with the seconds that it took
    since    when the outage began (time.monotonic); None while there is none
    """

    def __init__(self, timeout: float = TIMEOUT_S) -> None:
        self.timeout, self.hurry = timeout, threading.Event()
        self.began: Callable[[str, datetime], None] = lambda reason, since: None
        self.ended: Callable[[float], None] = lambda seconds: None
        self.since: float | None = None
        self._said = False

    def outlast(self, act: Callable[[bool], T]) -> T:
        """Return act(again), tried until it succeeds; `again` is whether it was tried before.

        Raises what `act` raises if that does not pass, and StorageAway if the outage takes too long.
        """
        again, pause = False, FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                result = act(again)
            except Exception as error:
                if not is_away(error):
                    raise
                self._went_wrong(error, began)
            else:
                self._went_well()
                return result
            wait = time.sleep if self.hurry.is_set() else self.hurry.wait  # it ends the pause when it is set
            wait(pause * random.uniform(0.5, 1))
            again, pause = True, min(2 * pause, LONGEST_PAUSE_S)

    def _went_wrong(self, error: Exception, began: float) -> None:
        """Note a failure. Raises StorageAway if the outage has taken too long."""
        self.since = began if self.since is None else self.since
        took = time.monotonic() - self.since
        limit = min(self.timeout, GRACE_S) if self.hurry.is_set() else self.timeout
        if took >= limit:
            raise StorageAway(f"the record could not be written for {took:.0f} s ({reason_of(error)})") from error
        if took >= SAY_S and not self._said:
            self._said = True
            self.began(reason_of(error), datetime.fromtimestamp(time.time() - took))

    def _went_well(self) -> None:
        if self.since is None:
            return
        took, said, self.since, self._said = time.monotonic() - self.since, self._said, None, False
        if said:
            self.ended(took)


def reason_of(error: Exception) -> str:
    """Return in a few words why a storage or a disk is away."""
    words = error.strerror if isinstance(error, OSError) else str(error).removeprefix("the storage does not answer: ")
    return words or type(error).__name__
