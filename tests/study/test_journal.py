"""A journal may have been written by anybody: it is checked whole before any of it is used."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.errors import RunError
from nas.searching.candidate import Candidate
from nas.study import Run, journal
from nas.study.attributes import CURVE
from nas.study.writer import StudyWriter
from tests.helpers import scripted
from tests.helpers.runs import topology
from tests.helpers.storages import failing

Change = Callable[[dict[str, Any]], Any]


PARAMS = {f"block{place:02}.skip": "add" for place in range(1, 5)}


def begun(*kinds: str) -> FrozenTrial:
    made = Candidate(topology(*kinds), 0, predicted=scripted.price(topology(*kinds))).trial(TrialState.RUNNING)
    kinds_of = {name: CategoricalDistribution(("none", "add", "concat")) for name in PARAMS}
    return create_trial(
        state=TrialState.RUNNING,
        params=PARAMS,
        distributions=kinds_of,
        user_attrs=made.user_attrs,
        system_attrs=made.system_attrs,
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a journal: the results of a trial that its study holds, and of one that it does not."""
    root = tmp_path_factory.mktemp("recorded")
    run = Run.create(scripted.space(), "first", root)
    writer = StudyWriter(run, timeout=0.0)
    first = writer.add(begun("add", "add", "add", "none"))
    writer.flush()
    with failing(run.storage, 1):
        second = writer.add(begun("add", "add", "add", "add"))
        writer.keep_weights(second, b"weights")
        for handle in (first, second):
            writer.finish(handle, TrialState.COMPLETE, {CURVE: [{"epoch": 1, "accuracy": 0.5}]}, [0.5, math.inf])
        with pytest.raises(RunError, match="2 results are in"):
            writer.close()
    run.storage.engine.dispose()
    return run.path


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Run:
    shutil.copytree(recorded, tmp_path / "first")
    return Run.open("first", tmp_path)


@pytest.fixture
def written(run: Run) -> Path:
    [path] = journal.journals(run.journal_folder)
    return path


def replay(run: Run) -> int:
    writer = StudyWriter(run)
    try:
        return writer.replay()
    finally:
        writer._thread.shutdown()


def test_what_was_written_is_read(run: Run, written: Path) -> None:
    (known, trial), (unknown, other) = journal.read_journal(written)
    assert (known.number, unknown.number) == (0, None)
    assert trial.values == other.values == [0.5, math.inf]
    assert other.params == PARAMS
    assert unknown.weights is not None and (written.parent / unknown.weights).read_bytes() == b"weights"
    assert replay(run) == 2
    assert [one.state for one in run.study.get_trials()] == [TrialState.COMPLETE] * 2
    assert (run.weights_folder / "1.safetensors").is_file()
    assert list(run.journal_folder.iterdir()) == []


def test_a_journal_that_was_half_written_into_the_study_is_written_once(run: Run, written: Path) -> None:
    content = written.read_bytes()
    assert replay(run) == 2
    written.write_bytes(content)  # as if the process had died before it deleted the file
    assert replay(run) == 2
    assert len(run.study.get_trials()) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line | {"state": "RUNNING"},
        lambda line: line | {"state": "WAITING"},
        lambda line: line | {"number": -1},
        lambda line: line | {"number": "0"},
        lambda line: line | {"number": True},
        lambda line: line | {"values": None},
        lambda line: line | {"values": ["0.5", 1.0]},
        lambda line: line | {"more": 1},
        lambda line: line | {"params": {"x": 1}},
        lambda line: line | {"params": {"x": 1}, "distributions": {"x": "{}"}},
        lambda line: line | {"params": {"x": 1}, "distributions": {"x": '{"name": "open", "attributes": {}}'}},
        lambda line: line | {"weights": "../../study.db"},
        lambda line: line | {"weights": "/etc/passwd"},
        lambda line: line | {"started": "yesterday"},
        lambda line: line | {"system_attrs": []},
        lambda line: {},
        lambda line: [],
        lambda line: None,
    ],
)
def test_a_damaged_journal_is_one_line(written: Path, change: Change) -> None:
    first, second = map(json.loads, written.read_text().splitlines())
    written.write_text(json.dumps(first) + "\n" + json.dumps(change(second)) + "\n")
    with pytest.raises(RunError, match=r"is no journal: line 2: ") as raised:
        journal.read_journal(written)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


def test_nothing_of_a_damaged_journal_is_written(run: Run, written: Path) -> None:
    with written.open("a") as file:
        file.write("{}\n")
    with pytest.raises(RunError, match="is no journal: line 3"):
        replay(run)
    assert [one.state for one in run.study.get_trials()] == [TrialState.RUNNING]
    assert written.exists()


@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe", b"[" * 100_000, b"{" + b'"a":{' * 50_000])
def test_bytes_that_are_no_journal(written: Path, content: bytes) -> None:
    written.write_bytes(content)
    with pytest.raises(RunError, match="is no journal: line 1"):
        journal.read_journal(written)


def test_a_journal_has_bounds(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LARGEST", 100)
    with pytest.raises(RunError, match="larger than 100 bytes"):
        journal.read_journal(written)


def test_the_journal_of_another_study_is_refused(written: Path, tmp_path: Path) -> None:
    other = Run.create(scripted.space(), "other", tmp_path)
    other.study.add_trial(create_trial(state=TrialState.RUNNING))
    other.journal_folder.mkdir()
    written.rename(other.journal_folder / written.name)
    with pytest.raises(RunError, match="of another study: there is no such trial 0"):
        replay(other)
    assert [one.state for one in other.study.get_trials()] == [TrialState.RUNNING]
