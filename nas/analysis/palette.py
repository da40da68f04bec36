"""How a kind of skip looks: one colour, one dash and one stroke, wherever it is drawn.

The hues follow Okabe and Ito (2008), which stay apart for every common colour blindness; the dash of a line and
the stroke of a box character tell the kinds apart without any colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Strokes(NamedTuple):
    """The box characters of an arc: its horizontal, its vertical, its left and its right upper corner."""

    across: str
    down: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Look:
    """One kind of skip on a page and in a terminal.

    light, dark  colours on a light and on a dark page
    terminal     one of the sixteen colours that every terminal's theme defines
    dash         an SVG stroke-dasharray; "none" is a solid line
    strokes      the box characters of an arc
    formula      what the join computes
    """

    light: str
    dark: str
    terminal: str
    dash: str
    strokes: Strokes
    formula: str


LOOKS: dict[str, Look] = {
    "add": Look("#0072b2", "#56b4e9", "cyan", "none", Strokes(*"─│╭╮"), "F(x) + s"),
    "concat": Look("#c4560a", "#f0a04b", "yellow", "8 3", Strokes(*"═║╔╗"), "[s, F(x)]"),
    "gate": Look("#00805c", "#2fc79a", "green", "2 3", Strokes(*"╌╎╭╮"), "T·F(x) + (1−T)·s"),
    "mul": Look("#b0528a", "#e79bc9", "magenta", "9 3 2 3", Strokes(*"━┃┏┓"), "F(x) · s"),
}
