"""Describe a topology in sentences, for the report."""

from __future__ import annotations

from collections import Counter

from nas.analysis.arcs import list_arcs, runs_by_size
from nas.topology import Topology
from nas.topology.vocabulary import JOINS


def in_words(topology: Topology) -> str:
    """Return a description of the blocks and skips of a topology.

    `12 basic blocks at 8×8, 4×4 and 2×2. 10 of them have a skip: 5 add (2 long), 2 concat (2 long) and 3 gate.`
    """
    names = list(dict.fromkeys(block.op for block in topology.blocks))
    kind = f"{names[0]} " if len(names) == 1 else ""
    what = f"{len(topology)} {kind}{'block' if len(topology) == 1 else 'blocks'}"
    places = list(dict.fromkeys(run.label for run in runs_by_size(topology) if run.label))
    where = f" at {listed(places)}" if 0 < len(places) <= 6 else f" at {len(places)} resolutions" if places else ""
    made_of = f" ({listed(names)})" if 1 < len(names) <= 5 else ""
    return f"{what}{made_of}{where}. {_skips(topology)}"


def listed(words: list[str]) -> str:
    """Return the words as a list in a sentence: `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _skips(topology: Topology) -> str:
    drawn = list_arcs(topology)
    if not drawn:
        return "None has a skip."
    total, far = Counter(arc.kind for arc in drawn), Counter(arc.kind for arc in drawn if arc.span > 1)
    each = [f"{total[kind]} {kind}{_far(far[kind], total[kind])}" for kind in JOINS if total[kind]]
    with_skips = sum(bool(block.skips) for block in topology.blocks)
    several = " or several" if len(drawn) > with_skips else ""
    whose = "Every block has" if with_skips == len(topology) else f"{with_skips} of them {_have(with_skips)}"
    return f"{whose} a skip{several}: {listed(each)}."


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _far(far: int, total: int) -> str:
    return "" if not far else " (long)" if far == total else f" ({far} long)"
