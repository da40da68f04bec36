"""The topologies that differ from one of a space in the skip of a single block."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from nas.space.chain import Chain, Ends
from nas.space.decisions import Choice, Decision, drive
from nas.topology import Topology
from nas.topology.geometry import Scalar

SKIP = "skip"
FURTHER = re.compile(r"\.skip\d+")


class SkipChange(NamedTuple):
    """A change of the skip of one block: from a kind to another short one, or to `none`.

    place          the place of the block: block03
    before, after  the kinds; `long` may be the one before
    topology       the topology after it
    """

    place: str
    before: str
    after: str
    topology: Topology


def skip_changes(chain: Chain, params: Mapping[str, Scalar]) -> Iterator[tuple[str, str, str, Ends]]:
    """Yield (place, before, after, the ends after it) of every change of the skip of one block that has one.

    It becomes each kind that its space allows but `long`; with `none` in its place, further skips of the block go as
    well, and are named in `before`. What else the new kind has to decide is what the file lists first; all other
    decisions stay.
    """
    asked: dict[str, Choice] = {}

    def note(decision: Decision) -> Scalar:
        if isinstance(decision, Choice) and decision.name.rpartition(".")[2] == SKIP:
            asked[decision.name] = decision
        return params[decision.name]

    drive(chain.walk(), note)
    for name, decision in asked.items():
        before, place = str(params[name]), name.partition(".")[0]
        further = [str(kind) for other, kind in params.items() if FURTHER.fullmatch(other.removeprefix(place))]
        for after in decision.values:
            if before != "none" and after not in (before, "long"):
                told = before if after != "none" else ", ".join([before, *(kind for kind in further if kind != "none")])
                yield place, told, str(after), drive(chain.walk(), _deciding(params, name, after))


def _deciding(params: Mapping[str, Scalar], name: str, value: Scalar) -> Callable[[Decision], Scalar]:
    """Return a function that decides `name` as `value`, and all else as `params` do where that is possible."""

    def decide(decision: Decision) -> Scalar:
        if decision.name == name:
            return value
        known = params.get(decision.name)
        return decision.values[0] if known is None or known not in decision.values else known

    return decide
