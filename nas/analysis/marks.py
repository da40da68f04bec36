"""Write the skips of a topology as short text: `++·&³ +~` has one mark per block."""

from __future__ import annotations

import itertools

from rich.text import Text

from nas.topology import Topology
from nas.topology.vocabulary import JOINS, NONE
from nas.units import RAISED

LEGEND = f"{NONE} none, " + ", ".join(f"{join.symbol} {kind}" for kind, join in JOINS.items()) + ", &³ from node 3"
_KINDS = {NONE: "none"} | {join.symbol: kind for kind, join in JOINS.items()}


def marks(topology: Topology) -> str:
    """Return one mark per block, with a space where the resolution changes.

    A raised number after a mark is the node from which a long skip starts.
    """
    written = []
    for block, wire in zip(topology.blocks, topology.wiring.wires, strict=True):
        mark = JOINS[block.skip.kind].symbol if block.skip else NONE
        far = "" if wire.short or wire.source is None else str(wire.source).translate(RAISED)
        written.append((wire.output.size, mark + far))
    stages = itertools.groupby(written, key=lambda pair: pair[0])
    return " ".join("".join(mark for _, mark in stage) for _, stage in stages)


def fitted(written: str, width: int) -> str:
    """Return the marks in at most `width` characters: if needed, they are counted (`12&`) and cut at the end."""
    if len(written) <= width:
        return written
    runs = [(mark, len(list(run))) for mark, run in itertools.groupby(_split(written))]
    short = "".join(mark * times if times < 3 or mark == " " else f"{times}{mark}" for mark, times in runs)
    return short if len(short) <= width else short[: max(0, width - 1)] + "…"


def kinds(written: str) -> list[tuple[str, str]]:
    """Return each mark with its raised number, and its kind (`none` for dots, "" for spaces and counts)."""
    return [(part, _KINDS.get(part[0], "")) for part in _split(written)]


def coloured(written: str) -> Text:
    """Return the marks, each in the colour of its kind."""
    return Text.assemble(*((part, JOINS[kind].terminal if kind in JOINS else "dim") for part, kind in kinds(written)))


def _split(written: str) -> list[str]:
    """Return the characters, each mark together with its raised number."""
    parts: list[str] = []
    for character in written:
        if character in "⁰¹²³⁴⁵⁶⁷⁸⁹":
            parts[-1] += character
        else:
            parts.append(character)
    return parts
