"""Open the Optuna storage of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import RunError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


def open_storage(url: str) -> RDBStorage:
    """Open the Optuna storage at a URL. Raises RunError if it cannot be opened.

    SQLite is used in WAL mode, so that readers never wait and a commit needs no flush of the disk. A commit is not lost
    when the process dies; a power failure may lose the last commits, but does not damage the file.
    """
    import sqlalchemy
    from optuna.storages import RDBStorage

    local = url.startswith("sqlite:")
    try:
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}} if local else None)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError) as error:
        raise RunError(f"the storage {_shown(url)} cannot be opened: {_first_line(error)}") from None
    if local:
        sqlalchemy.event.listen(storage.engine, "connect", _write_ahead)
        storage.engine.dispose()  # connections that are open already did not get the setting
    return storage


def _write_ahead(connection: Any, _: object) -> None:
    """Set a new SQLite connection to write-ahead logging (WAL)."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def sqlite_url(folder: Path) -> str:
    """Return the URL of study.db in the folder of a run."""
    return f"sqlite:///{(folder / 'study.db').resolve()}"


def _shown(url: str) -> str:
    """Return the URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
