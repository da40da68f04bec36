"""`nas effects`: what is each skip worth?"""

import csv
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from nas.study import Run
from tests.helpers import scripted
from tests.helpers.command_line import Nas, check_mistake
from tests.helpers.runs import finished


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of 40 topologies in which an `add` around block 2 is worth 5 points, and 100 parameters."""
    made, rng = Run.create(scripted.space(trials=40), "mine", tmp_path / "runs"), np.random.default_rng(0)
    kinds = list(itertools.product(("none", "add", "concat"), repeat=4))
    for place in rng.choice(len(kinds), 40, replace=False):
        own = kinds[place]
        accuracy = 0.7 + 0.05 * (own[1] == "add") + rng.normal(0, 0.005)
        finished(made, accuracy, 1000 + 100 * (own[1] == "add"), *own)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.usefixtures("run")
def test_tables_and_words(nas: Nas) -> None:
    done = nas("effects", "mine", columns=80)
    assert done.code == 0, done.err
    assert "skip of each block, compared with none" in done.out
    assert "Worth most, compared with none: add at block 2 (+" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.usefixtures("run")
def test_every_table_as_csv_and_all_as_json(nas: Nas) -> None:
    told = json.loads(nas("effects", "--json").out)
    for table in ("cells", "counts", "pairs", "steps", "importances"):
        rows = list(csv.DictReader(io.StringIO(nas("effects", "--csv", table).out)))
        assert len(rows) == len(told[table])
    cell = next(row for row in told["cells"] if (row["decision"], row["value"]) == ("block02.skip", "add"))
    assert cell["separated"]
    assert cell["low"] <= 0.05 <= cell["high"]
    assert cell["pairs"] > 0 and cell["matched"] == pytest.approx(0.05, abs=0.01)
    assert sum(row["importance"] for row in told["importances"]) == pytest.approx(1)


@pytest.mark.usefixtures("run")
def test_another_objective(nas: Nas) -> None:
    told = json.loads(nas("effects", "mine", "--objective", "params", "--json").out)
    cell = next(row for row in told["cells"] if (row["decision"], row["value"]) == ("block02.skip", "add"))
    assert cell["effect"] == pytest.approx(100, abs=1)
    assert (told["objective"], told["direction"]) == ("params", "minimize")
    assert "Harmful, compared with none: add at block 2 (+100 ±" in " ".join(told["verdict"])


@pytest.mark.usefixtures("run")
def test_the_report_has_them(nas: Nas, tmp_path: Path) -> None:
    assert nas("report", "mine").code == 0
    page = (tmp_path / "runs/mine/report.html").read_text()
    assert "What the skips are worth" in page
    assert page.count('sure" style="--share: 1.0"') == 1


@pytest.mark.usefixtures("folder")
def test_mistakes_are_one_line(nas: Nas) -> None:
    check_mistake(nas("effects", "other"), "there is no run 'other'")
    check_mistake(nas("effects", "first"), "effects need at least 12 topologies that were trained to the end, but got")
    check_mistake(nas("effects", "first", "--objective", "speed"), "speed")


def test_help_has_an_example(nas: Nas) -> None:
    assert "nas effects digits-1 --objective memory" in " ".join(nas("effects", "--help").out.split())
