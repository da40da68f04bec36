"""Searches that run as jobs of a Ray cluster: submit one, follow its output, list them, stop one.

A job is a process on the head of the cluster that runs `nas search`, so the machine that submits it may go away. What
the search needs travels as the runtime environment of Ray: a folder, in which it runs on every node.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nas.errors import RunError, message_of, quoted
from nas.scratch import scratch_folder
from nas.searching import environment
from nas.searching.connecting import TOKEN, knock
from nas.searching.shipping import pack
from nas.tasks.here import COPIED

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

PORT = 8265  # of the job API, unless the URL has another one
MARK = "skipnas"  # the metadata of a job that nas submitted: the name of its run
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
INSTALL = "Ray's job client is missing: pip install 'skipnas[cluster]'"
LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")  # say what is said here better
ENVIRONMENT = environment.ENVIRONMENT | {
    COPIED: "1",
    "RAY_JOB_STOP_WAIT_TIME_S": "120",  # of its own Ray kills a job three seconds after it has asked it to end
}
PATIENCE_S = 60  # seconds for which a cluster may not answer while its output is followed
RETRY_S = 2.0  # seconds between two attempts
PASSWORD = re.compile(r"://[^@/]*:[^@]+@|[?&](password|passwd|pwd)=", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """A search on a cluster.

    id       by which it is followed
    run      the name of its run
    state    PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    began    when it was submitted
    ended    when it ended; None before
    code     the exit code of `nas search`; None before, or if it was killed
    message  what Ray says of its state
    """

    id: str
    run: str
    state: str
    began: datetime | None
    ended: datetime | None
    code: int | None
    message: str


class Jobs:
    """The searches on the cluster whose job API is at `address`, http://HEAD:8265. Every method raises RunError."""

    def __init__(self, address: str, client: Any = None) -> None:
        self.address = shown(address)
        environment.prepare(address)
        self._client = client or self._call(lambda: _client(address))

    def submit(self, arguments: Sequence[str], run: str, folder: Path, root: str | None = None) -> str:
        """Send the folder, start `nas search` with these arguments in it on the head, and return the id of the job.

        run   the name of the run
        root  the folder on the head in which the run's folder is; None for $NAS_RUNS, or else runs in the home folder
        """
        if any(PASSWORD.search(word) for word in arguments):
            raise RunError(
                "everybody who reaches the cluster can read the command of a job: leave the password out of the URL, "
                "and set PGPASSWORD (or MYSQL_PWD) on the head, or write it into ~/.pgpass there"
            )
        runs = '"${NAS_RUNS:-$HOME/runs}"' if root is None else shlex.quote(root)
        command = f"NAS_RUNS={runs} exec python -m nas search --address auto {shlex.join(arguments)}"
        with scratch_folder() as scratch:
            package = scratch / "folder.zip"
            pack(folder, package)
            return str(
                self._call(
                    self._client.submit_job,
                    entrypoint=command,
                    submission_id=f"{run}-{datetime.now():%H%M%S%f}",
                    runtime_env={"working_dir": str(package), "env_vars": ENVIRONMENT},
                    metadata={MARK: run},
                )
            )

    def all(self) -> list[Job]:
        """Return the searches that were submitted to the cluster, the latest first."""
        found = [_job(details) for details in self._call(self._client.list_jobs) if MARK in (details.metadata or {})]
        return sorted(found, key=lambda job: (job.began is not None, job.began), reverse=True)

    def get(self, id: str | None) -> Job:
        """Return the search with this id, or of this run; None for the latest."""
        known = self.all()
        for job in known:
            if id in (None, job.id, job.run):
                return job
        names = ", ".join(job.id for job in known[:5]) or "none"
        raise RunError(f"no search {id or ''} on {self.address}; those there: {names}".replace("  ", " "))

    def stop(self, job: Job) -> bool:
        """Ask a search to end as Ctrl-C does; return False if it has ended already."""
        return bool(self._call(self._client.stop_job, job.id))

    def follow(self, job: Job, write: Callable[[str], object]) -> Job:
        """Write the output of a search, from its beginning, until it ends; return how it ended.

        A connection that breaks is made again.
        """
        output, failing_since = _Output(write), None
        while True:
            try:
                asyncio.run(output.read(self._client.tail_job_logs(job.id)))
                job, failing_since = self.get(job.id), None
                if job.state in ENDED:
                    return job
            except _failures() as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() > failing_since + PATIENCE_S:
                    raise RunError(f"the cluster at {self.address} answers no more: {message_of(error)}") from None
            time.sleep(RETRY_S)

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the client, and raise what fails as a RunError of one line."""
        from ray.exceptions import AuthenticationError

        fault = f"the job API at {self.address} cannot be used"
        try:
            return function(*arguments, **named)
        except AuthenticationError:
            raise RunError(f"{fault}: {TOKEN}") from None
        except _failures() as error:
            raise RunError(f"{fault}: {message_of(error)}") from None


def jobs_frame(jobs: Sequence[Job]) -> pd.DataFrame:
    """Return a row for each job; the columns are the fields of Job."""
    import pandas as pd

    return pd.DataFrame(jobs, columns=[field.name for field in fields(Job)])


def jobs_table(jobs: Sequence[Job]) -> Table:
    """Return the same as a table for a terminal; below it, what Ray says of those that failed."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    failed = Text("\n".join(f"{job.id}: {job.message}" for job in jobs if job.state == "FAILED"), "red")
    table = Table("job", "run", "state", "began", "ended", box=box.SIMPLE_HEAD, pad_edge=False, caption=failed)
    table.caption_justify = "left"
    for job in jobs:
        times = ("" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}" for time in (job.began, job.ended))
        table.add_row(job.id, job.run, job.state.lower(), *times)
    return table


def shown(address: str) -> str:
    """Return the URL without the user and the password that it may have."""
    return re.sub(r"://.*@", "://", address)


def _client(address: str) -> Any:
    """Return Ray's client of the job API at `address`, once something listens there. Raises RunError."""
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    said = quoted(shown(address), 200)
    if parts.scheme not in ("http", "https") or not host:
        raise RunError(f"address must be the job API of a cluster, http://HEAD:{PORT}, but got {said}")
    knock(host, port or {"http": 80, "https": 443}[parts.scheme], f"the job API at {said[1:-1]} cannot be used")
    from ray.job_submission import JobSubmissionClient

    try:
        import aiohttp  # noqa: F401
    except ImportError:
        raise RunError(INSTALL) from None
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return JobSubmissionClient(address)


class _Output:
    """Writes the output of a job as it comes, also where it is read from its beginning again."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write, self.written = write, 0

    async def read(self, chunks: AsyncIterator[str]) -> None:
        """Write what was not written before."""
        skip = self.written
        async for chunk in chunks:
            fresh, skip = chunk[skip:], max(0, skip - len(chunk))
            if fresh:
                self.written += len(fresh)
                self.write(fresh)


def _failures() -> tuple[type[Exception], ...]:
    """Return the errors of a request: Ray's own are RuntimeError, those of requests OSError."""
    aiohttp = sys.modules.get("aiohttp")
    return (RunError, RuntimeError, ValueError, OSError, *([] if aiohttp is None else [aiohttp.ClientError]))


def _job(details: Any) -> Job:
    metadata: Mapping[str, str] = details.metadata or {}
    return Job(
        id=details.submission_id,
        run=metadata.get(MARK, ""),
        state=str(getattr(details.status, "value", details.status)),
        began=_time(details.start_time),
        ended=_time(details.end_time),
        code=details.driver_exit_code,
        message=" ".join((details.message or "").split())[:300],
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, UTC)
