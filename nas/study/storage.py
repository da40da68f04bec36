"""Open the Optuna storage of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import RunError
from nas.study.storage_url import (
    DRIVERS,
    MYSQL_PASSWORD,
    VARIABLE,
    parse_url,
    shown,
    with_password,
    without_secrets,
)

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

LOCK_S = 10  # seconds that a statement waits while another process writes into the SQLite file
CONNECT_S = 10
DEAD_S = 60  # after which a server that does not answer is taken for dead
LOGIN_FAILED = re.compile(r"password|authentication|access denied", re.IGNORECASE)

# of each driver: an outage of the network must end a statement, not only one of the server
CONNECTIONS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": LOCK_S},
    "psycopg": {
        "connect_timeout": CONNECT_S,
        "keepalives_idle": CONNECT_S,
        "keepalives_interval": CONNECT_S,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * DEAD_S,
    },
    "pymysql": {"connect_timeout": CONNECT_S, "read_timeout": DEAD_S, "write_timeout": DEAD_S},
}


def open_storage(text: str) -> RDBStorage:
    """Open the Optuna storage at a URL. Raises RunError if it cannot be opened.

    SQLite is used in WAL mode, so that readers never wait and a commit needs no flush of the disk. A commit is not lost
    when the process dies; a power failure may lose the last commits, but does not damage the file. Every operation of
    the storage raises StorageAway while it is locked or does not answer (nas.study.outage).
    """
    import sqlalchemy
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage

    from nas.study.outage import raise_if_away

    url = with_password(parse_url(text))
    local = url.get_backend_name() == "sqlite"
    driver = "sqlite" if local else url.drivername.partition("+")[2]
    options = {name: value for name, value in CONNECTIONS.get(driver, {}).items() if name not in url.query}
    try:
        storage = RDBStorage(address_of(url), {"connect_args": options, "pool_pre_ping": not local})
    except (sqlalchemy.exc.SQLAlchemyError, OptunaError, ImportError, RuntimeError) as error:
        raise RunError(f"the storage {shown(url)} cannot be opened: {why_not(url, error)}") from None
    if local:
        sqlalchemy.event.listen(storage.engine, "connect", _write_ahead)
        storage.engine.dispose()  # connections that are open already did not get the setting
    sqlalchemy.event.listen(storage.engine, "handle_error", raise_if_away)
    return storage


def address_of(url: URL) -> str:
    """Return the URL as Optuna takes it: with its password, and with braces that it does not fill in."""
    return url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")


def why_not(url: URL, error: BaseException) -> str:
    """Return in a line, without passwords, why a storage cannot be opened, and what to do about it."""
    database, _, driver = url.drivername.partition("+")
    known, extra = DRIVERS.get(database, ("", ""))
    if isinstance(error, ImportError) and driver == known:
        return f"it needs {driver}: pip install 'skipnas[{extra}]'"
    reason = without_secrets(driver_message(error), url)
    if not LOGIN_FAILED.search(reason) or url.get_backend_name() == "sqlite":
        return reason
    places = "PGPASSWORD, in ~/.pgpass" if database == "postgresql" else MYSQL_PASSWORD
    return f"{reason}; the password may stand in {places} or in the URL of {VARIABLE} or --storage"


def driver_message(error: BaseException) -> str:
    """Return the first line of what a driver said."""
    said = getattr(error, "orig", None) or error.__cause__ or error
    return (str(getattr(said, "orig", None) or said).strip() or type(said).__name__).splitlines()[0][:200]


def _write_ahead(connection: Any, _: object) -> None:
    """Set a new SQLite connection to write-ahead logging (WAL)."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def sqlite_url(folder: Path) -> str:
    """Return the URL of study.db in the folder of a run."""
    return f"sqlite:///{(folder / 'study.db').resolve()}"
