"""Searches as jobs of a cluster, with a client that answers as Ray's does."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import AuthenticationError
from rich.console import Console

from nas.errors import RunError
from nas.searching import jobs as module
from nas.searching.jobs import Jobs, jobs_frame, jobs_table, shown
from tests.helpers.ray_cluster import free_ports

URL = "http://head:8265"


class Client:
    """Keeps the jobs that were submitted; `output` is what each attempt to follow one gives, an error ends it."""

    def __init__(self, *output: list[str | Exception]) -> None:
        self.output, self.sent, self.stopped = list(output), [], []  # type: ignore[var-annotated]
        self.known = [job("old", "digits", "SUCCEEDED", 1000), job("new", "digits-2", "RUNNING", 2000)]
        self.known.append(job("foreign", None, "RUNNING", 3000))

    def submit_job(self, **job: Any) -> str:
        with zipfile.ZipFile(job["runtime_env"]["working_dir"]) as package:
            self.sent.append(job | {"files": package.namelist()})
        return str(job["submission_id"])

    def list_jobs(self) -> list[Any]:
        return self.known

    def stop_job(self, id: str) -> bool:
        self.stopped.append(id)
        return True

    async def tail_job_logs(self, id: str) -> AsyncIterator[str]:
        for chunk in self.output.pop(0):
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
        if not self.output:
            self.known[1].status = "FAILED"


def job(id: str, run: str | None, status: str, began: int) -> SimpleNamespace:
    return SimpleNamespace(
        submission_id=id,
        metadata=None if run is None else {"skipnas": run},
        status=status,
        start_time=began,
        end_time=None,
        driver_exit_code=2,
        message="it\nfailed",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "space.yaml").write_text("task: digits")
    return tmp_path


def test_a_search_is_sent_with_its_folder(folder: Path) -> None:
    jobs = Jobs(URL, client := Client())
    id = jobs.submit(["my space.yaml", "--trials", "3"], "demo", folder)
    [sent] = client.sent
    assert id.startswith("demo-")
    assert sent["files"] == ["space.yaml"]
    assert sent["metadata"] == {"skipnas": "demo"}
    assert sent["entrypoint"] == (
        "NAS_RUNS=\"${NAS_RUNS:-$HOME/runs}\" exec python -m nas search --address auto 'my space.yaml' --trials 3"
    )
    assert sent["runtime_env"]["env_vars"]["NAS_FOLDER_IS_COPIED"] == "1"


def test_the_folder_of_runs_is_quoted(folder: Path) -> None:
    Jobs(URL, client := Client()).submit(["digits"], "demo", folder, "/shared/my runs; true")
    assert client.sent[0]["entrypoint"].startswith("NAS_RUNS='/shared/my runs; true' exec python")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@db/nas",
        "postgresql://me:se/cr@et@db/nas",
        "postgresql://:secret@db/nas",
        "postgresql://db/nas?user=me&password=secret",
        "mysql://db/nas?PASSWD=secret",
    ],
)
def test_a_password_is_not_sent(folder: Path, url: str) -> None:
    with pytest.raises(RunError, match="PGPASSWORD") as caught:
        Jobs(URL, client := Client()).submit(["digits", "--storage", url], "demo", folder)
    assert "secret" not in str(caught.value)
    assert client.sent == []


def test_a_url_without_a_password_is_sent(folder: Path) -> None:
    Jobs(URL, client := Client()).submit(["digits", "--storage", "postgresql://me@db:5432/nas"], "demo", folder)
    assert "postgresql://me@db:5432/nas" in client.sent[0]["entrypoint"]


def test_jobs_of_others_are_not_ours() -> None:
    jobs = Jobs(URL, Client())
    assert [job.id for job in jobs.all()] == ["new", "old"]
    assert jobs.get(None).id == "new"
    assert jobs.get("digits").id == "old"
    with pytest.raises(RunError, match="no search foreign on http://head:8265; those there: new, old"):
        jobs.get("foreign")


def test_a_search_is_stopped() -> None:
    jobs = Jobs(URL, client := Client())
    assert jobs.stop(jobs.get("new"))
    assert client.stopped == ["new"]


def test_the_output_is_written_once_though_the_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0)
    client = Client(["one\n", "two\n", RuntimeError("closed")], [OSError("no route")], ["one\ntwo", "\nthree\n"])
    written: list[str] = []
    ended = Jobs(URL, client).follow(Jobs(URL, client).get("new"), written.append)
    assert "".join(written) == "one\ntwo\nthree\n"
    assert (ended.state, ended.code, ended.message) == ("FAILED", 2, "it failed")


def test_a_cluster_that_is_gone_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0)
    monkeypatch.setattr(module, "PATIENCE_S", -1)
    jobs = Jobs(URL, Client(["one\n", OSError("no route")]))
    with pytest.raises(RunError, match="the cluster at http://head:8265 answers no more: no route"):
        jobs.follow(jobs.get("new"), lambda text: None)


def test_a_token_is_asked_for() -> None:
    def list_jobs() -> None:
        raise AuthenticationError("no token")

    (client := Client()).list_jobs = list_jobs  # type: ignore[method-assign,assignment]
    with pytest.raises(RunError, match="the job API at http://head:8265 cannot be used: it asks for a token"):
        Jobs(URL, client).all()


@pytest.mark.parametrize("address", ["head:8265", "ray://head:10001", "http://", "http://head:many", "auto"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(RunError, match="address must be the job API of a cluster, http://HEAD:8265, but got"):
        Jobs(address)


def test_nothing_answers() -> None:
    url = f"http://me:secret@127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(RunError, match="nothing answers there") as caught:
        Jobs(url)
    assert "secret" not in str(caught.value)


def test_a_password_of_the_address_is_not_shown() -> None:
    assert shown("https://me:pass/w@rd@head:8265/x") == "https://head:8265/x"


def test_jobs_as_a_table() -> None:
    jobs = Jobs(URL, client := Client())
    client.known[0].status = "FAILED"
    assert jobs_frame(jobs.all())[["id", "run", "state"]].values.tolist() == [
        ["new", "digits-2", "RUNNING"],
        ["old", "digits", "FAILED"],
    ]
    (screen := Console(file=io.StringIO(), width=100)).print(jobs_table(jobs.all()))
    lines = [line.split() for line in screen.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert ["new", "digits-2", "running"] in [line[:3] for line in lines]
    assert ["old:", "it", "failed"] in lines
