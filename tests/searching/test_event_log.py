"""The log of events as lines of JSON."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nas.errors import RunError
from nas.searching.event_log import EventLog, open_event_log
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.searching.search_log import SearchLog, logged
from nas.study import Run
from nas.study.reuse import ReusableTrial
from tests.helpers import runs, scripted
from tests.searching.test_display import candidates


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(scripted.space(trials=3), "mine", tmp_path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_event_is_a_line(run: Run, tmp_path: Path) -> None:
    log = open_event_log(path := tmp_path / "events.jsonl")
    first, second, third, fourth = candidates(run.space, 4)
    first.baseline, third.refusal = "plain", "over the limits: 5 params"
    runs.finished(run, 0.5, 1000, "none", "none", "none", "none")
    fourth.reused = ReusableTrial(run, run.trial(0))
    with logged([log], run) as session:
        log.started(first)
        log.epoch_ended(first, {"epoch": 1, "accuracy": 0.5, "loss": float("nan"), "seconds": 1.5}, 1.75)
        log.retried(first, "out of memory: no more")
        log.ended(first, "COMPLETE", None, TrialOutcome([{"epoch": 2, "accuracy": 0.75}], True, None, {"busy": 4.0}))
        log.ended(second, "FAIL", "diverged", TrialOutcome())
        log.refused(third)
        log.changed_by_others(run.trial(0))
        log.machines_changed(3, "node a is gone")
        log.checkpoints_stopped("the disk is full")
        log.storage_went("locked", datetime(2026, 1, 5, tzinfo=UTC))
        log.storage_came_back(2.5)
        log.reused(fourth, TrialOutcome([{"epoch": 2, "accuracy": 0.5}], True))
        session.ending = "interrupted"
    told = lines(path)
    assert [line["event"] for line in told] == [
        *("search_began", "started", "epoch", "retried", "ended", "ended", "refused"),
        *(
            "changed_by_others",
            "machines_changed",
            "checkpoints_stopped",
            "storage_went",
            "storage_came_back",
            "reused",
            "search_ended",
        ),
    ]
    began, started, epoch, retried, complete, failed, refused, *middle, reused, over = told
    others, machines, checkpoints, away, back = middle
    assert [datetime.fromisoformat(line["time"]) for line in told] == sorted(
        datetime.fromisoformat(line["time"]) for line in told
    )
    assert (began["run"], began["trials"], began["metric"], began["epochs"]) == ("mine", 3, "accuracy", 2)
    assert (started["trial"], started["key"], started["baseline"]) == (0, first.topology.key, "plain")
    assert started["predicted"]["params"] == 1000 and started["topology"] == first.topology.describe()
    assert (epoch["epoch"], epoch["seconds"]) == (1, 1.75)
    assert epoch["metrics"] == {"accuracy": 0.5, "loss": None}
    assert retried["reason"] == "out of memory: no more"
    assert (complete["state"], complete["reason"], complete["metrics"]) == ("COMPLETE", None, {"accuracy": 0.75})
    assert complete["measured"] == {"busy": 4.0}
    assert (failed["state"], failed["reason"], failed["baseline"]) == ("FAIL", "diverged", None)
    assert refused["reason"] == "over the limits: 5 params"
    assert (reused["trial"], reused["origin"]) == (3, {"run": "mine", "trial": 0})
    assert (others["trial"], others["state"]) == (0, "COMPLETE")
    assert (machines["slots"], machines["reason"]) == (3, "node a is gone") and "trial" not in machines
    assert checkpoints["reason"] == "the disk is full" and back["seconds"] == 2.5
    assert (away["reason"], away["since"]) == ("locked", "2026-01-05T00:00:00.000+00:00")
    assert over["reason"] == "interrupted" and "trial" not in over


def test_a_log_hears_of_every_event() -> None:
    events = {name for name in vars(SearchObserver) if not name.startswith("_")}
    assert events <= vars(SearchLog).keys()


def test_a_resumed_search_is_appended(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        with logged([open_event_log(tmp_path / "events.jsonl")], run):
            pass
    assert [line["event"] for line in lines(tmp_path / "events.jsonl")] == ["search_began", "search_ended"] * 2


def test_an_error_of_the_search_is_the_reason(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), logged([open_event_log(tmp_path / "events.jsonl")], run):
        _ = 1 / 0
    assert lines(tmp_path / "events.jsonl")[-1]["reason"] == "stopped by an error"


def test_what_happens_to_the_storage_after_the_end_is_left_out(run: Run, tmp_path: Path) -> None:
    with logged([log := open_event_log(tmp_path / "events.jsonl")], run):
        pass
    log.storage_came_back(1.0)
    assert [line["event"] for line in lines(tmp_path / "events.jsonl")] == ["search_began", "search_ended"]


def test_a_log_tells_once_more_after_which_epochs_a_training_goes_on(run: Run, tmp_path: Path) -> None:
    [candidate] = candidates(run.space, 1)
    with logged([log := open_event_log(tmp_path / "events.jsonl")], run):
        log.continued(candidate, [{"epoch": epoch, "accuracy": 0.5, "seconds": 3.0} for epoch in (1, 2)])
    told = lines(tmp_path / "events.jsonl")[1:-1]
    assert [(line["event"], line["epoch"], line["seconds"]) for line in told] == [("epoch", 1, 0), ("epoch", 2, 0)]


def test_stdout_stays_open(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with logged([open_event_log("-")], run):
        pass
    print("more")
    assert capsys.readouterr().out.splitlines()[-1] == "more"


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the log of events cannot be written: .*/none/events: No such file"):
        open_event_log(tmp_path / "none" / "events")
    with pytest.raises(RunError, match="Is a directory"):
        open_event_log(tmp_path)


def test_a_log_that_fails_says_so_once_and_the_search_goes_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with logged([log := EventLog(Full())], run):
        for candidate in candidates(run.space, 3):
            log.started(candidate)
    assert capsys.readouterr().err == "event-log: nothing more is written: [Errno 28] No space left on device\n"
