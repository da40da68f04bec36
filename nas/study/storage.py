"""Open the Optuna storage of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import RunError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

# database → its driver, where the URL names none, and the extra of the package that installs it
DRIVERS = {"postgresql": ("psycopg", "postgresql"), "mysql": ("pymysql", "mysql"), "mariadb": ("pymysql", "mysql")}


def open_storage(url: str) -> RDBStorage:
    """Open the Optuna storage at a URL. Raises RunError if it cannot be opened.

    SQLite is used in WAL mode, so that readers never wait and a commit needs no flush of the disk. A commit is not lost
    when the process dies; a power failure may lose the last commits, but does not damage the file.
    """
    import sqlalchemy
    from optuna.storages import RDBStorage

    local = url.startswith("sqlite:")
    options: dict[str, Any] = {"connect_args": {"timeout": 60}} if local else {"pool_pre_ping": True}
    try:
        whole = with_driver(sqlalchemy.engine.make_url(url))
        storage = RDBStorage(whole.render_as_string(hide_password=False), engine_kwargs=options)
    except ImportError as error:
        raise RunError(f"the storage {_shown(url)} cannot be opened: {_missing(url, error)}") from None
    except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
        raise RunError(f"the storage {_shown(url)} cannot be opened: {_first_line(error)}") from None
    if local:
        sqlalchemy.event.listen(storage.engine, "connect", _write_ahead)
        storage.engine.dispose()  # connections that are open already did not get the setting
    return storage


def with_driver(url: URL) -> URL:
    """Return the URL with the driver of its database, if it names none."""
    driver, _ = DRIVERS.get(url.drivername, ("", ""))
    return url.set(drivername=f"{url.drivername}+{driver}") if driver else url


def _missing(url: str, error: ImportError) -> str:
    """Return which package the storage needs."""
    database, _, named = url.partition(":")[0].partition("+")
    driver, extra = DRIVERS.get(database, ("", ""))
    if extra and named in ("", driver):
        return f"it needs {driver}: pip install 'skipnas[{extra}]'"
    return _first_line(error)


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
