"""Opening an Optuna storage, and naming it without its password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import RunError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


def open_storage(url: str) -> RDBStorage:
    """An Optuna storage; SQLite in WAL mode, so that readers never wait and a commit costs no disk flush.

    A commit outlives the death of its process; a power cut may take the last ones, never the file.
    Raises RunError where the storage cannot be reached.
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
        storage.engine.dispose()  # the connections of before know nothing of it
    return storage


def _write_ahead(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{(folder / 'study.db').resolve()}"


def _shown(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
