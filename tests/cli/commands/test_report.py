"""`nas report`: it writes the report and prints where it is."""

from pathlib import Path

from tests.helpers.command_line import Nas


def test_report(folder: Path, nas: Nas) -> None:
    assert Path(nas("report").out.strip()).is_file()
