"""`nas status`: how far a run is."""

import json
from pathlib import Path

from tests.helpers.command_line import Nas


def test_status(folder: Path, nas: Nas) -> None:
    assert "first" in nas("status").out
    (row,) = json.loads(nas("status", "first", "--json").out)
    assert (row["run"], row["finished"]) == ("first", 5)
