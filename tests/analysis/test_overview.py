"""From a run on disk: leaderboard, report and overview read what a search recorded."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from nas.analysis import leaderboard, report
from nas.analysis.overview import runs_frame, runs_table
from nas.space import SearchSpace
from nas.study import Run
from tests.helpers.analysis_trials import frame
from tests.helpers.recorded_runs import SPACE, recorded


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(SearchSpace.from_dict(SPACE), "first", tmp_path)
    for row in frame(12).to_dict("records"):
        run.study.add_trial(recorded(row))
    return run


def test_the_leaderboard_of_a_run(run: Run) -> None:
    board = leaderboard(run)
    goals = run.space.goals
    assert (goals.names, goals.directions) == (["accuracy", "params"], ["maximize", "minimize"])
    assert board["accuracy"].tolist()[:9] == sorted(board["accuracy"].dropna(), reverse=True)[:9]
    assert board["trial"].iloc[0] == run.winner
    assert board["reason"].iloc[-1] == "diverged"


def test_the_report_of_a_run_lies_in_its_folder(run: Run) -> None:
    path = report(run)
    assert path == run.path / "report.html"
    html = path.read_text(encoding="utf-8")
    for told in (
        "first",
        "9 finished",
        "stem.width",
        "diverged",
        f"{run.space.size():,}",
    ):
        assert told in html


def test_the_report_keeps_the_password_of_a_storage(run: Run) -> None:
    run.config["storage"] = f"{run.storage_url}?password=hunter2"
    assert "hunter2" not in report(run).read_text(encoding="utf-8")


def test_the_overview_tells_of_every_run(run: Run, tmp_path: Path) -> None:
    Run.create(SearchSpace.from_dict(SPACE), "second", tmp_path)
    broken = tmp_path / "third"
    broken.mkdir()
    (broken / "run.yaml").write_text("a: [", encoding="utf-8")
    rows = runs_frame(Run.list(tmp_path))
    by_name = {row["run"]: row for row in rows.to_dict("records")}
    assert by_name["first"]["finished"] == 9 and by_name["first"]["failed"] == 2
    assert by_name["first"]["trial"] == run.winner
    assert by_name["second"]["finished"] == 0 and by_name["second"]["written"] == "–"
    assert "is not YAML" in by_name["third"]["trouble"]
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(runs_table(rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "9 of 16" in text  # twelve trials and four baselines
    assert "% accuracy" in text and "stopped" in text
    assert "not YAML" in " ".join(text.split())


def test_no_run_yet() -> None:
    assert runs_frame([]).empty
    assert "trouble" in runs_frame([])
