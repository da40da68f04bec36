"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from nas.files import write_whole


def test_whole(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "new" / "page.html", "été")
    assert path.read_text(encoding="utf-8") == "été"
    assert write_whole(path, b"again").read_bytes() == b"again"
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_or_not_at_all(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "page.html", "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
