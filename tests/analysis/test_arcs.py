"""Arc diagrams: what is drawn is the topology, for any topology and any width."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nas.analysis.arcs import Arc, arc_heights, list_arcs, runs_by_op, runs_by_size
from nas.analysis.draw_svg import arc_svg
from nas.analysis.draw_text import TextGrid, arc_text
from nas.analysis.marks import coloured, fitted, kinds, marks
from nas.analysis.words import in_words
from nas.topology import Topology, references
from nas.topology.block import Skip
from nas.topology.vocabulary import JOINS
from tests.helpers.analysis_trials import ADD, CONCAT, WINNER, chain
from tests.helpers.topologies import random_topology

PICTURES: dict[str, Callable[[], Topology]] = {
    "winner": lambda: WINNER,
    "five": lambda: chain([ADD, None, CONCAT, Skip("gate", 0), Skip("mul")]),
    "plain": lambda: chain([None] * 6),
    "unet": lambda: references.get("unet"),
    "densenet121": lambda: references.get("densenet121"),
    "vit_b_16": lambda: references.get("vit_b_16"),
}
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def topologies(draw: st.DrawFn, max_blocks: int = 14, max_skips: int = 4) -> Topology:
    rng = random.Random(draw(st.integers(0, 10**9)))
    return random_topology(rng, max_blocks=draw(st.integers(0, max_blocks)), max_skips=max_skips)


def traced(text: str, grid: TextGrid) -> set[tuple[int, int, str]]:
    """The arcs of a diagram read back: from the mark of a node up, at the corner left, to whose end it is above."""
    begins, ends = ({join.strokes[corner] for join in JOINS.values()} for corner in (2, 3))
    rows = text.split("\n\n")[0].splitlines()
    chain, above = rows[-2], rows[-3::-1]
    found = set()
    for node in range(grid.nodes):
        column = grid.arrives(node)
        kind = next((kind for kind in JOINS if chain[column] == JOINS[kind].symbol), None)
        if kind is None:
            continue
        level = next(i for i, row in enumerate(above) if row.ljust(column + 1)[column] in ends)
        end = next(c for c in range(column - 1, -1, -1) if above[level][c] in begins | {*"├╠┣"})
        found.add(((end + 1) // grid.cell - 1, node, kind))
    return found


@given(topologies(max_skips=1))
def test_text_shows_every_skip(topology: Topology) -> None:
    width = 8 * (len(topology) + 1)
    grid = TextGrid.fitting(len(topology) + 1, width)
    expected = {(arc.source, arc.target, arc.kind) for arc in list_arcs(topology)}
    assert traced(arc_text(topology, width).plain, grid) == expected


@given(topologies(), st.integers(40, 120))
def test_text_keeps_to_its_width(topology: Topology, width: int) -> None:
    assert max(cell_len(line) for line in arc_text(topology, width).plain.splitlines()) <= width


@pytest.mark.parametrize("width", [40, 80, 200])
def test_wide_networks_wrap_and_lose_no_node(width: int) -> None:
    topology = references.get("densenet121")
    text = arc_text(topology, width).plain
    assert max(map(cell_len, text.splitlines())) <= width
    for number in range(1, len(topology) + 1):
        assert f"{JOINS['concat'].symbol}{number:─>2}" in text or f"──{number}" in text


@given(topologies())
def test_arcs_are_the_wiring(topology: Topology) -> None:
    drawn = [(arc.source, arc.target, arc.kind) for arc in list_arcs(topology)]
    wired = [
        (bypass.source, number, skip.kind)
        for number, (block, wire) in enumerate(zip(topology.blocks, topology.wiring.wires, strict=True), 1)
        for skip, bypass in zip(block.skips, wire.bypasses, strict=True)
    ]
    assert drawn == wired


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=30, unique=True))
def test_overlapping_arcs_have_different_heights(pairs: list[tuple[int, int]]) -> None:
    drawn = [Arc(source, source + span, "add", "") for source, span in pairs]
    heights = arc_heights(drawn)
    for a in drawn:
        for b in drawn:
            if a != b and a.source < b.target and b.source < a.target:
                assert heights[a] != heights[b]
                if a.source <= b.source and b.target <= a.target:
                    assert heights[b] < heights[a]


@given(topologies())
def test_runs_cover_every_node_once(topology: Topology) -> None:
    for runs in (runs_by_size(topology), runs_by_op(topology)):
        assert [node for run in runs for node in range(run.first, run.last + 1)] == list(range(len(topology) + 1))


@given(topologies())
def test_svg_is_well_formed_and_draws_every_skip(topology: Topology) -> None:
    root = ET.fromstring(arc_svg(topology, 'a <title> & "quotes"'))
    assert root.get("aria-label") == 'a <title> & "quotes"'
    paths = [path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    assert sorted((path.get("class") or "").split()[0] for path in paths) == sorted(a.kind for a in list_arcs(topology))
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == len(topology) + 1
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for circle in circles:
        assert 0 < float(circle.get("cx", 0)) < width and 0 < float(circle.get("cy", 0)) < height


def test_the_highest_arc_stays_on_the_page() -> None:
    topology = chain([None] * 59 + [Skip("add", 0)], (16,))
    root = ET.fromstring(arc_svg(topology))
    arc = next(path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None)
    start, radius = (arc.get("d") or "").split("A")
    assert float(start.split()[1]) - float(radius.split()[1]) > 0


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_look_as_they_did(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"arcs_{name}.svg", arc_svg(PICTURES[name](), name))
    golden(f"arcs_{name}.txt", arc_text(PICTURES[name](), 80).plain + "\n")


def test_legend_names_only_the_kinds_that_occur() -> None:
    last = arc_text(chain([ADD, Skip("add"), Skip("add", 0)]), 80).plain.splitlines()[-1]
    assert last == "╭─╮ add 3, 1 long"
    assert arc_text(chain([None]), 80).plain.endswith("no skips")


@given(topologies())
def test_marks_say_every_skip(topology: Topology) -> None:
    said = [kind for _, kind in kinds(marks(topology)) if kind]
    assert said == [kind for block in topology.blocks for kind in [skip.kind for skip in block.skips] or ["none"]]
    assert coloured(marks(topology)).plain == marks(topology)


@given(topologies(), st.integers(1, 40))
def test_marks_fit(topology: Topology, width: int) -> None:
    assert len(fitted(marks(topology), width)) <= width


def test_marks_of_long_runs_are_counted() -> None:
    assert fitted("&&&&&& ·&&&&&&&&", 10) == "6& ·8&"
    assert fitted("+·&³+ ++", 20) == "+·&³+ ++"
    assert fitted("+·&³+ ++", 5) == "+·&³…"


def test_words() -> None:
    assert in_words(chain([ADD, Skip("concat", 0), None])) == (
        "3 basic blocks at 8×8, 4×4 and 2×2. 2 of them have a skip: 1 add and 1 concat (long)."
    )
    assert in_words(chain([None])) == "1 basic block at 8×8. None has a skip."
    assert in_words(references.get("vit_b_16")) == (
        "24 blocks (attention and feed_forward) at 197 tokens. Every block has a skip: 24 add."
    )


def test_words_count_blocks_and_not_skips() -> None:
    several = chain([[Skip("add")], [Skip("add"), Skip("add", 0)], []])
    assert "2 of them have a skip or several: 3 add (1 long)." in in_words(several)
    assert "Every block has a skip: 2 add." in in_words(chain([Skip("add"), Skip("add")]))
