"""`nas dashboard`: what it serves and says, and mistakes in one line."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas.watching
from tests.helpers.command_line import Nas
from tests.helpers.wsgi import call

Served = list[tuple[Any, Any]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """The servers that the command would serve until Ctrl-C, and their applications."""
    kept: Served = []

    def serve(server: Any, make: Callable[[], Any], report: Any) -> None:
        server.server_close()
        kept.append((server, make()))

    monkeypatch.setattr(nas.watching, "serve", serve)
    return kept


def test_a_port_that_is_taken_is_one_line(folder: Path, nas: Nas) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = nas("dashboard", "--port", port)
    assert done.code == 2
    assert f"nas: --port {port} cannot be served on localhost: Address already in use" in done.err


def test_it_links_the_study_of_the_run(folder: Path, nas: Nas, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: not opened.append(address))
    monkeypatch.setattr("threading.Thread.start", lambda thread: thread.run())
    done = nas("dashboard", "--port", "0", "--open")
    ((server, app),) = served
    address = f"http://localhost:{server.server_port}/dashboard/studies/1"
    assert done.code == 0 and done.out == ""
    assert done.err == f"dashboard of first at {address} (Ctrl-C ends it)\n"
    assert opened == [address]
    assert call(app, "PUT", "/api/studies/1/note", {"version": 0, "body": "x"}).status != 403


def test_others_who_reach_it_are_announced_unless_they_only_read(folder: Path, nas: Nas, served: Served) -> None:
    done = nas("dashboard", "first", "--host", "0.0.0.0", "--port", "0")
    port = served[0][0].server_port
    assert f"anybody who reaches port {port} can change the study; --read-only forbids it\n" in done.err
    done = nas("dashboard", "first", "--host", "0.0.0.0", "--port", "0", "--read-only")
    assert done.err.count("\n") == 1
    refused = call(served[1][1], "PUT", "/api/studies/1/note", {"version": 1, "body": "x"})
    assert refused.status == 403 and "--read-only" in refused.json["reason"]


def test_all_runs(folder: Path, nas: Nas, served: Served) -> None:
    done = nas("dashboard", "--all", "--port", "0")
    server, app = served[0]
    assert done.err == f"dashboard of all runs in runs at {server.url}/dashboard (Ctrl-C ends it)\n"
    (study,) = call(app, "GET", "/api/studies").json["study_summaries"]
    assert study["study_name"] == "first"
    done = nas("dashboard", "first", "--all", "--port", "0")
    assert f"/dashboard/studies/{study['study_id']} (Ctrl-C ends it)" in done.err


def test_a_run_that_cannot_be_shown_is_one_line(tmp_path: Path, nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ((), ("--all",), ("--all", "first"), ("--read-only", "first")):
        done = nas("dashboard", *words)
        assert done.code == 2 and done.err.startswith("nas: there is no run ") and done.err.count("\n") == 1
