"""`nas submit`: what is sent, what is refused before, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nas.cli import app
from nas.searching.jobs import Job, Jobs

URL = "http://head:8265"
SENT: list[tuple[list[str], str, Path, str | None]] = []
ENDED = Job("demo-1", "demo", "SUCCEEDED", None, None, 0, "")


@pytest.fixture(autouse=True)
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that takes every search; the current folder has a space and another folder beside it."""
    monkeypatch.chdir(tmp_path)
    SENT.clear()
    (tmp_path / "work").mkdir()
    (tmp_path / "space.yaml").touch()
    (tmp_path / "work" / "mine.yaml").touch()

    def submit(self: Jobs, arguments: list[str], run: str, folder: Path, root: str | None = None) -> str:
        SENT.append((arguments, run, folder, root))
        return "demo-1"

    monkeypatch.setattr(Jobs, "__init__", lambda self, address: setattr(self, "address", address))
    monkeypatch.setattr(Jobs, "submit", submit)
    monkeypatch.setattr(Jobs, "get", lambda self, id: ENDED)
    monkeypatch.setattr(Jobs, "stop", lambda self, job: True)
    follows(monkeypatch, ENDED)


def follows(monkeypatch: pytest.MonkeyPatch, ending: Job | type[BaseException]) -> None:
    def follow(self: Jobs, job: Job, write: Callable[[str], object]) -> Job:
        write("[1/3] trial 0\n")
        if isinstance(ending, Job):
            return ending
        raise ending

    monkeypatch.setattr(Jobs, "follow", follow)


def submit(*words: str) -> Any:
    return CliRunner().invoke(app, ["submit", "--address", URL, *words])


def test_options_of_the_search_are_sent_wherever_they_stand(tmp_path: Path) -> None:
    done = submit("--trials", "3", "digits", "--name", "demo", "--sampler", "tpe")
    assert [(["--trials", "3", "digits", "--name", "demo", "--sampler", "tpe"], "demo", tmp_path, None)] == SENT
    assert done.stdout == "[1/3] trial 0\n"
    assert "run demo is job demo-1 of http://head:8265" in done.stderr
    assert done.exit_code == 0


def test_a_run_without_a_name_gets_one_here() -> None:
    submit("space.yaml", "--root", "/shared/runs")
    [(arguments, run, _, root)] = SENT
    assert run.startswith("space-20")
    assert arguments == ["space.yaml", "--name", run]
    assert root == "/shared/runs"


def test_a_run_is_resumed() -> None:
    submit("--resume", "demo")
    assert SENT[0][:2] == (["--resume", "demo"], "demo")


def test_paths_become_relative_to_the_folder_that_travels(tmp_path: Path) -> None:
    submit("work/mine.yaml", "--folder", "work")
    assert SENT[0][0][0] == "mine.yaml"
    assert SENT[0][2] == tmp_path / "work"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["space.yaml", "--folder", "work"], "space.yaml is not in .*work, the folder that travels"),
        ([], "submit needs one of"),
        (["digits", "--follow", "demo"], "submit needs one of"),
        (["--trials", "3"], "either a SPACE or --resume RUN"),
    ],
)
def test_what_cannot_be_sent(words: list[str], reason: str) -> None:
    with pytest.raises(Exception, match=reason):
        CliRunner().invoke(app, ["submit", "--address", URL, *words], catch_exceptions=False)
    assert SENT == []


def test_an_option_that_the_search_does_not_have_is_refused_here() -> None:
    done = submit("digits", "--trails", "3")
    assert done.exit_code == 2
    assert "--trails" in done.stderr
    assert SENT == []


def test_ctrl_c_lets_go_of_the_search_and_says_how_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    follows(monkeypatch, KeyboardInterrupt)
    done = submit("digits")
    assert "the search goes on: nas submit --address http://head:8265 --follow demo-1 comes back to it" in done.stderr
    assert done.exit_code == 0


def test_detached() -> None:
    done = submit("digits", "--detach")
    assert done.stdout == ""
    assert "--follow demo-1" in done.stderr


@pytest.mark.parametrize(("code", "expected"), [(2, 2), (130, 130), (None, 1)])
def test_the_exit_code_is_that_of_the_search(monkeypatch: pytest.MonkeyPatch, code: int | None, expected: int) -> None:
    follows(monkeypatch, Job("demo-1", "demo", "FAILED", None, None, code, "the head was killed"))
    done = submit("--follow", "demo")
    assert done.exit_code == expected
    assert ("the head was killed" in done.stderr) == (code is None)


def test_a_search_is_stopped() -> None:
    assert "demo-1 is asked to end" in submit("--stop", "demo").stderr
