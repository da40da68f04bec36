"""A real PostgreSQL in a temporary folder, from Debian's package, that tests start and stop."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest

PASSWORD = "s3/cr:e@t?%"  # every character that has a meaning in a URL
USER = "postgres"  # a server refuses to run as root: it runs as this user then
READY_S = 60


class PostgresServer:
    """A server on a free port of 127.0.0.1, whose user `postgres` has PASSWORD. `start` and `stop` may be repeated."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._user = USER if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="nas-postgresql-"))
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = [f"--pgdata={self.folder / 'data'}", f"--username={USER}", f"--pwfile={secret}", "--no-sync"]
        subprocess.run(
            [self._programs / "initdb", *options, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"],
            user=self._user,
            group=self._user,
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": 50,
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # the server ends even when pytest is killed
                ["setpriv", "--pdeathsig", "QUIT", "--", self._programs / "postgres", "-D", self.folder / "data"]
                + [f"--{name}={value}" for name, value in settings.items()],
                user=self._user,
                group=self._user,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_S
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def stop(self) -> None:
        """Stop the server at once: clients lose their connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(READY_S)
            self._process = None

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, password: str = PASSWORD) -> str:
        """Return the URL of a database, as a user would write it: without a driver."""
        return f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload, unused-ignore]
        return self.url(name)


def start_server() -> PostgresServer:
    """Return a server that answers; skip the test, with the reason, where none can be started."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'skipnas[postgresql]'")
    if _programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if os.geteuid() == 0 and not _has_user(USER):
        pytest.skip(f"root cannot run PostgreSQL, and there is no user {USER}")
    server = PostgresServer()
    server.start()
    return server


def _programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs: that of Debian's package, or that in the PATH."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if found := shutil.which("postgres"):
        installed.append(Path(found).resolve().parent)
    return max(installed, key=lambda path: (path.parent.name.zfill(3), path), default=None)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
