"""`nas list`: a row for each run."""

import json
from pathlib import Path

from tests.helpers.command_line import Nas


def test_list(folder: Path, nas: Nas) -> None:
    (row,) = json.loads(nas("list", "--json").out)
    assert (row["run"], row["finished"], row["failed"]) == ("first", 5, 0)
    assert row["asked"] == 5  # two trials and three baselines
