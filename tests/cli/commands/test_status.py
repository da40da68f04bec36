"""`nas status`: how far a run is."""

import json
from pathlib import Path

import pytest

from nas.study import Run
from tests.helpers.command_line import Nas


def test_status(folder: Path, nas: Nas) -> None:
    shown = nas("status").out
    assert "first" in shown and "finished" in shown and "accuracy" in shown
    found = json.loads(nas("status", "first", "--json").out)
    assert (found["run"], found["state"], found["finished"], found["running"]) == ("first", "over", 5, [])
    assert found["best"]["trial"] == Run.open("first").winner


def test_csv_is_the_row_of_the_list(folder: Path, nas: Nas) -> None:
    header, row = nas("status", "--csv").out.splitlines()
    assert header.startswith("run,task,started,asked,finished") and row.startswith("first,digits,")


def test_a_search_is_watched_until_it_ends(folder: Path, nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    done = nas("status", "first", "--watch")
    assert done.code == 0 and "over" in done.out


def test_watching_needs_a_terminal(folder: Path, nas: Nas) -> None:
    assert nas("status", "first", "--watch").code == 2
    done = nas("status", "first", "--watch", "--json")
    assert (done.code, done.out) == (2, "") and "leave out --csv and --json" in done.err
