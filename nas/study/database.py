"""Read the database of a study without Optuna: nothing is created, migrated or written, and no wait is long.

SQLite   the file is opened read-only. Where it has no log of writes, or an empty one, nobody writes it: then it is
         opened as a file that does not change, which needs neither a lock nor a file beside it, so that a read-only
         disk is enough. If it has changed all the same, it is read again.
servers  are asked through SQLAlchemy, with short limits of time
"""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from nas.errors import RunError, message_of
from nas.scratch import scratch_folder

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]
Select = Callable[..., Rows]  # (sql, name=value, …) → rows; `:name` in the SQL stands for the value

WAIT_S = 2  # seconds to wait for a lock, and for a server to answer
LONGEST_S = 10  # seconds of all queries together: those for 100,000 trials take a few
AGAIN_S = 60  # seconds until a server that did not answer is asked again: `nas list` waits for it once
STEPS = 100_000  # of SQLite's virtual machine between two looks at the clock
CONNECT = {"connect_timeout": WAIT_S}
DRIVERS: dict[str, dict[str, int]] = {  # driver → arguments of a connection that limit how long it waits
    "psycopg": CONNECT,
    "psycopg2": CONNECT,
    "mysqldb": CONNECT | {"read_timeout": LONGEST_S},
    "pymysql": CONNECT | {"read_timeout": LONGEST_S},
}
LIMITS = {  # dialect → statements after which no other waits for longer
    "postgresql": (f"SET statement_timeout = {1000 * LONGEST_S}", f"SET lock_timeout = {1000 * WAIT_S}"),
}


def read(place: Path | str, use: Callable[[Select], T]) -> T:
    """Return use(select) for the database at `place`, a SQLite file or the URL of a storage.

    All queries see the same state of it. `use` may be called twice. Raises RunError, one line that says what is wrong.
    """
    file = place if isinstance(place, Path) else sqlite_file(place)
    return _read_server(str(place), use) if file is None else _read_file(file, use)


def sqlite_file(url: str) -> Path | None:
    """Return the SQLite file of a URL; None for another database. Raises RunError if it is no URL."""
    from nas.study.storage_url import parse_url

    known = parse_url(url)
    return Path(known.database or "") if known.get_backend_name() == "sqlite" else None


def connect_to_read(file: Path, *, waits_s: float = WAIT_S, changes: bool = True) -> sqlite3.Connection:
    """Return a connection to a SQLite file that writes nothing.

    waits_s  seconds to wait for a lock
    changes  whether somebody may write the file; else it needs no lock
    """
    options = "mode=ro" if changes else "mode=ro&immutable=1"
    address = f"file:{quote(str(file.absolute()))}?{options}"
    return sqlite3.connect(address, uri=True, timeout=waits_s, isolation_level=None, check_same_thread=False)


def _read_file(file: Path, use: Callable[[Select], T]) -> T:
    if not file.is_file():
        raise RunError(f"{file} is no file" if file.exists() else f"there is no {file}")
    try:
        before = _state(file)
        is_written = any(size for size, _ in before[1:])
        found = _use_file(file, use, changes=is_written)
        return found if _state(file) == before else _use_file(file, use, changes=True)
    except (sqlite3.Error, OSError) as error:
        raise RunError(f"{file} cannot be read: {message_of(error, 200) or type(error).__name__}") from None


def _use_file(file: Path, use: Callable[[Select], T], *, changes: bool) -> T:
    try:
        with contextlib.closing(connect_to_read(file, changes=changes)) as connection:
            connection.execute("BEGIN")
            return use(_select_from(connection))
    except sqlite3.OperationalError as error:
        if not changes or error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    # a write-ahead log on a read-only disk, without the file of its locks, which SQLite would have to write
    with scratch_folder() as folder:
        copy = folder / file.name
        for one, other in ((file, copy), (_log_of(file), _log_of(copy))):
            shutil.copyfile(one, other)
        with contextlib.closing(connect_to_read(copy)) as connection:
            return use(_select_from(connection))


def _select_from(connection: sqlite3.Connection) -> Select:
    """Return the function that selects, for no longer than LONGEST_S in all; bytes that are no UTF-8 are replaced."""
    deadline = time.monotonic() + LONGEST_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'view'").fetchone():
        raise sqlite3.DatabaseError("it has a view, which can take any time to read")

    def select(sql: str, **values: Any) -> Rows:
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
        return connection.execute(sql, values).fetchall()

    return select


def _log_of(file: Path) -> Path:
    """Return the write-ahead log of a SQLite file, which is there while somebody writes, and after a crash."""
    return file.with_name(f"{file.name}-wal")


def _state(file: Path) -> tuple[tuple[int, int], ...]:
    """Return what changes with every write."""
    seen = []
    for path in (file, _log_of(file), file.with_name(f"{file.name}-journal")):
        with contextlib.suppress(FileNotFoundError):
            known = path.stat()
            seen.append((known.st_size, known.st_mtime_ns))
    return tuple(seen)


def _read_server(text: str, use: Callable[[Select], T]) -> T:
    import sqlalchemy

    from nas.study.storage import why_not
    from nas.study.storage_url import parse_url, with_password

    url = with_password(parse_url(text))
    said, since = _silent.get(url, ("", -math.inf))
    if time.monotonic() < since + AGAIN_S:
        raise RunError(said)
    try:
        with _engine(url).connect() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            for limit in LIMITS.get(connection.dialect.name, ()):
                connection.exec_driver_sql(limit)
            return use(functools.partial(_select_at, connection))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, UnicodeError) as error:
        reason = f"the storage cannot be read: {why_not(url, error)}"
        if isinstance(error, sqlalchemy.exc.OperationalError):
            _silent[url] = reason, time.monotonic()
        raise RunError(reason) from None


_silent: dict[URL, tuple[str, float]] = {}  # a server that did not answer → what was said of it, and when


@functools.cache
def _engine(url: URL) -> Engine:
    import sqlalchemy

    limits = {name: value for name, value in DRIVERS.get(url.get_driver_name(), {}).items() if name not in url.query}
    return sqlalchemy.create_engine(url, connect_args=limits, poolclass=sqlalchemy.NullPool)


def _select_at(connection: Connection, sql: str, **values: Any) -> Rows:
    import sqlalchemy

    return connection.execute(sqlalchemy.text(sql), values).all()
