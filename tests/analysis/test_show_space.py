"""`nas show SPACE`: every choice, the exact size, and what the search is after."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console

from nas.analysis import space_table
from nas.space import SearchSpace

SPACE = {
    "task": "digits",
    "network": {
        "stem": {"op": "conv3x3", "width": [8, 16]},
        "stages": [
            {"blocks": 2, "op": "basic", "width": 16},
            {"blocks": [2, 3], "op": ["basic", "preact"], "width": [16, 32], "stride": 2},
            {
                "blocks": 2,
                "op": "conv",
                "kernel": [1, 3],
                "width": 32,
                "choose": "block",
                "skips": {"kinds": ["none", "mul"]},
            },
        ],
        "head": "classify",
    },
    "skips": {"kinds": ["none", "add", "concat", "long"], "long": {"join": ["concat", "add"], "reach": [2, 4]}},
    "limits": {"params": "2M", "memory": "2GiB"},
    "search": {"trials": 40, "baselines": ["plain", "resnet"]},
}


def printed(space: SearchSpace, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(space_table(space, width=width))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120])
def test_it_looks_as_it_did(width: int, golden: Callable[[str, str], None]) -> None:
    text = printed(SearchSpace.from_dict(SPACE), width)
    assert max(map(cell_len, text.splitlines())) <= width
    golden(f"show_space_{width}.txt", text)


def test_the_size_is_exact() -> None:
    space = SearchSpace.from_dict(SPACE)
    assert f"{space.size():,}" in printed(space, 100)


def test_choices_limits_and_baselines_are_told() -> None:
    text = printed(SearchSpace.from_dict(SPACE), 120)
    for told in ("8 | 16", "basic | preact", "2 … 4 blocks back", "none | mul", "kernel: 1 | 3", "params ≤ 2.00M"):
        assert told in text
    assert "accuracy ↑, params ↓, memory ↓" in text
    assert "resnet  ++ ++" in text
