"""A search by a function that does whatever it should not: it ends, and its run can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.analysis import effects_of, leaderboard, report
from nas.analysis.overview import runs_frame
from nas.searching.driver import search
from nas.space import SearchSpace
from nas.study import Run
from tests.helpers import hostile_code, scripted


@pytest.mark.slow
def test_a_search_outlives_the_code_of_its_user(tmp_path: Path) -> None:
    wanted = [said for _, said in hostile_code.BEHAVIOURS]
    data = scripted.space(trials=len(wanted), repeats=1, early_stopping={"rule": "asha", "grace": 1}).to_dict()
    space = SearchSpace.from_dict(data | {"task": {"of": "digits", "function": f"{hostile_code.__file__}:score"}})
    run = search(space, name="hostile", root=tmp_path / "runs", slots=1, quiet=True)
    trials = run.frame()
    reasons = [reason if isinstance(reason, str) else None for reason in trials["reason"]]
    for got, said in zip(reasons, wanted, strict=True):
        assert got == said or (got is not None and said is not None and got.startswith(said))
        assert got is None or (len(got) < 400 and got.isprintable())
    _read_all(run)
    assert len(search(resume=run.path, trials=len(wanted) + 3, slots=1, quiet=True).frame()) == len(wanted) + 3
    _read_all(Run.open("hostile", tmp_path / "runs"))


def _read_all(run: Run) -> None:
    """Rank, list, report and explain a run."""
    assert len(leaderboard(run)) > 0
    assert list(runs_frame([run])["run"]) == ["hostile"]
    assert report(run).is_file()
    effects_of(run)
