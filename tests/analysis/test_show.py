"""`nas show`: the table of a topology."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console

from nas.analysis.show import topology_table
from nas.topology import Topology, references
from tests.helpers.analysis_trials import WINNER, chain


def printed(topology: Topology, width: int, priced: bool = True) -> str:
    costs = [(1000 * part, 20_000 * part) for part in range(len(topology) + 2)] if priced else None
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(topology_table(topology, costs, width=width))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["winner", "resnet18", "mobilenet_like", "gpt2", "unet"])
@pytest.mark.parametrize("width", [80, 120])
def test_tables_look_as_they_did(name: str, width: int, golden: Callable[[str, str], None]) -> None:
    text = printed(WINNER if name == "winner" else references.get(name), width)
    assert max(map(cell_len, text.splitlines())) <= width
    golden(f"show_{name}_{width}.txt", text)


def test_every_part_has_its_row_and_the_last_is_the_sum() -> None:
    lines = [line.split() for line in printed(WINNER, 120).splitlines() if line.strip()][2:]
    assert [line[0] for line in lines[:13]] == [str(number) for number in range(13)]
    assert lines[13][0] == "classify"
    assert lines[14] == ["12", "blocks", "91.0k", "1.82M"]


def test_skips_say_their_source_and_their_alignment() -> None:
    text = printed(WINNER, 120)
    assert "concat ← 3" in text and "resize" in text
    assert "stride + conv" in text and "as it is" in text


def test_without_costs_there_are_no_columns_for_them() -> None:
    assert "params" not in printed(WINNER, 120, priced=False)


def test_options_are_said_once_where_all_blocks_share_them() -> None:
    text = printed(references.get("gpt2"), 120)
    assert text.count("heads=12") == 1 and text.count("causal=True") == 1
    assert "expansion=1" in printed(references.get("mobilenet_like"), 120)


def test_costs_must_be_of_every_part() -> None:
    with pytest.raises(ValueError, match="5 costs must be given, one per part, but got 1"):
        topology_table(chain([None] * 3), [(1, 1)])
