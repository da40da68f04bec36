"""`nas rank`: the leaderboard as a table, as CSV and as JSON."""

import io
import json
from pathlib import Path

import pandas as pd

from tests.helpers.command_line import Nas, check_mistake


def test_rank_as_table_csv_and_json(folder: Path, nas: Nas) -> None:
    assert "accuracy" in nas("rank").out
    frame = pd.read_csv(io.StringIO(nas("rank", "--csv").out))
    rows = json.loads(nas("rank", "first", "--by", "params", "--json").out)
    assert len(frame) == len(rows) == 5
    assert frame["accuracy"].is_monotonic_decreasing
    assert [row["params"] for row in rows] == sorted(row["params"] for row in rows)


def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, nas: Nas) -> None:
    check_mistake(nas("rank", "second"), "there is no run 'second'")
    check_mistake(nas("rank", "--by", "size"), "--by")
