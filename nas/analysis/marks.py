"""Write the skips of a topology as short text: `++·&³ +~` has one mark per block, `(+&³)` several."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from rich.text import Text

from nas.topology import Topology
from nas.topology.block import Skip
from nas.topology.shapes import Bypass
from nas.topology.vocabulary import JOINS, NONE, SCALES
from nas.units import RAISED

_KINDS = {NONE: "none"} | {join.symbol: kind for kind, join in JOINS.items()}


def marks(topology: Topology) -> str:
    """Return one mark per block, with a space where the resolution changes.

    A raised number after a mark is the node from which a long skip starts; the marks of a block with several skips are
    in parentheses.
    """
    written = []
    for block, wire in zip(topology.blocks, topology.wiring.wires, strict=True):
        several = [_mark(skip, bypass) for skip, bypass in zip(block.skips, wire.bypasses, strict=True)] or [NONE]
        written.append((wire.output.size, several[0] if len(several) == 1 else f"({''.join(several)})"))
    stages = itertools.groupby(written, key=lambda pair: pair[0])
    return " ".join("".join(mark for _, mark in stage) for _, stage in stages)


def legend(written: Iterable[str] = ()) -> str:
    """Return what the marks mean: the usual kinds, and of everything else what occurs in the written marks."""
    seen = set("".join(written))
    names = [f"{NONE} none"]
    names += [f"{join.symbol} {kind}" for kind, join in JOINS.items() if not join.together or join.symbol in seen]
    names += ["&³ from node 3"] + ["(+&³) several skips"] * ("(" in seen)
    names += [f"+{rule.symbol} with a factor ({kind})" for kind, rule in SCALES.items() if rule.symbol in seen]
    return ", ".join(names)


def _mark(skip: Skip, bypass: Bypass) -> str:
    scale = "" if skip.scale is None else SCALES[skip.scale.kind].symbol
    return JOINS[skip.kind].symbol + scale + ("" if bypass.short else str(bypass.source).translate(RAISED))


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
