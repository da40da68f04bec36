"""The decisions that led to a topology as the factors of a linear model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.errors import SpaceError, TopologyError
from nas.space import SearchSpace
from nas.space.skips import KINDS
from nas.topology import Topology
from nas.topology.geometry import Scalar

Floats = NDArray[np.float64]

NO_SKIP = "none"
MAIN = ("skip", "op")  # the decisions about a block that are more than a detail of another
BLOCK = re.compile(r"block\d+")
SKIP = re.compile(r"skip\d*")  # the first skip of a block, and further ones


class Factors(NamedTuple):
    """The decisions that led to one topology.

    values  decision → its value, as text. The skip of a block is one decision: none, add …, `long`, or `long add` where
            the space leaves the join of a long skip open; its source is not part of it.
    exact   the same with all details of each, so that two topologies are equal if theirs are
    counts  how many blocks have each value of each decision about blocks, and long skips by their span: `skip add`,
            `skip long concat over 3–4`
    """

    values: dict[str, str]
    exact: dict[str, str]
    counts: dict[str, int]


@dataclass(frozen=True)
class Column:
    """A column of a design matrix: 1 where the decision has this value, which is not the reference."""

    decision: str
    value: str
    reference: str

    @property
    def place(self) -> str:
        """The place of the block that the decision is about; empty if it is about a stage, the stem or the head."""
        return place_of(self.decision)

    @property
    def what(self) -> str:
        """The subject of the decision, the same for all blocks."""
        return what_of(self.decision)


def place_of(decision: str) -> str:
    """Return the place of the block that a decision is about; empty if it is about no single block."""
    place = decision.partition(".")[0]
    return place if BLOCK.fullmatch(place) else ""


def what_of(decision: str) -> str:
    """Return what a decision is about, the same for all blocks: `skip`, `op`, `concat.growth`, `stage1.width`."""
    return decision.partition(".")[2] if place_of(decision) else decision


def number_of(decision: str) -> int:
    """Return the number of the place of the block that a decision is about."""
    return int(place_of(decision).removeprefix("block"))


def is_skip(decision: str) -> bool:
    """Return whether the decision is about the skip of a block."""
    return SKIP.fullmatch(what_of(decision)) is not None


def factors_of(space: SearchSpace, record: object) -> Factors | None:
    """Return the factors of a topology, or of its record (Topology.to_dict()); None if it is no point of the space."""
    try:
        topology = record if isinstance(record, Topology) else Topology.from_dict(record)
        params = space.encode(topology)
    except (TopologyError, SpaceError):
        return None
    values: dict[str, str] = {}
    exact: dict[str, list[str]] = {}
    for name, value in params.items():
        place, detail = place_of(name), name.rpartition(".")[2]
        about = _whole(name, params)
        exact.setdefault(about, []).append(f"{name}={value}")
        if place and SKIP.fullmatch(detail):
            join = params.get(f"{place}.join" if about == f"{place}.skip" else f"{about}.join")
            values[about] = f"long {join}" if value == "long" and join is not None else str(value)
        elif not place or detail not in ("join", "source"):
            values[name] = str(value)
    counts = Counter(f"{_counted(name)} {value}" for name, value in values.items() if place_of(name))
    return Factors(values, {name: " ".join(parts) for name, parts in exact.items()}, _with_spans(counts, topology))


def _counted(decision: str) -> str:
    """Return what a decision about a block is about, with `skip` for every skip."""
    return re.sub(r"^skip\d+", "skip", what_of(decision))


def _whole(name: str, params: Mapping[str, Scalar]) -> str:
    """Return the decision of which a parameter is a detail: the skip or op of its block, or the parameter itself."""
    place, what = place_of(name), what_of(name)
    if place and what.rpartition(".")[2] in ("scale", "branch"):
        return name
    further = what.partition(".")[0]
    if place and further != "skip" and SKIP.fullmatch(further):
        return f"{place}.{further}"
    if place and (what.rpartition(".")[2] in ("skip", "join", "source") or what.partition(".")[0] in KINDS):
        return f"{place}.skip"
    return f"{place}.op" if place and f"{place}.op" in params else name


def _with_spans(counts: Counter[str], topology: Topology) -> dict[str, int]:
    """Return the counts with long skips counted by kind and span in the place of those by kind alone."""
    spans: Counter[str] = Counter()
    for number, block in enumerate(topology.blocks, 1):
        for skip in block.skips:
            if skip.source is not None:
                spans[f"skip long {skip.kind} over {_span(number - skip.source)}"] += 1
    return {name: count for name, count in counts.items() if not name.startswith("skip long")} | dict(spans)


def _span(blocks: int) -> str:
    """Return the range of powers of two that holds a number of blocks: 2, 3–4, 5–8."""
    high = 2 ** math.ceil(math.log2(blocks))
    return str(high) if high <= 2 else f"{high // 2 + 1}–{high}"


def columns_of(rows: Sequence[Mapping[str, str]]) -> list[Column]:
    """Return a column for each value of each decision but its reference.

    The reference is `none`, or the most frequent value of the decision; of one about blocks, the most frequent over all
    blocks, if it occurs in this one.
    """
    seen: dict[str, Counter[str]] = {}
    alike: dict[str, Counter[str]] = {}
    for row in rows:
        for name, value in row.items():
            seen.setdefault(name, Counter())[value] += 1
            alike.setdefault(what_of(name), Counter())[value] += 1
    columns = []
    for name in sorted(seen):
        common = NO_SKIP if NO_SKIP in seen[name] else _most_frequent(alike[what_of(name)])
        reference = common if common in seen[name] else _most_frequent(seen[name])
        columns += [Column(name, value, reference) for value in sorted(seen[name]) if value != reference]
    return columns


def _most_frequent(counts: Counter[str]) -> str:
    return max(sorted(counts), key=lambda value: counts[value])


def design(rows: Sequence[Mapping[str, str]], columns: Sequence[Column]) -> Floats:
    """Return the matrix with a row for each topology, (n, p)."""
    return np.array([[row.get(each.decision) == each.value for each in columns] for row in rows], float).reshape(
        len(rows), len(columns)
    )


def count_design(rows: Sequence[Factors]) -> tuple[list[str], Floats]:
    """Return the names of what is counted, without references, and the matrix of the counts, (n, names).

    The reference is `none` among skips, and the most frequent value of every other decision about blocks.
    """
    total = sum((Counter(row.counts) for row in rows), Counter[str]())
    of_one: dict[str, list[str]] = {}
    for name in sorted(total):
        of_one.setdefault(name.partition(" ")[0], []).append(name)
    none = f"skip {NO_SKIP}"
    references = {none if none in names else max(names, key=lambda name: total[name]) for names in of_one.values()}
    names = sorted(total.keys() - references)
    matrix = [[row.counts.get(name, 0) for name in names] for row in rows]
    return names, np.array(matrix, float).reshape(len(rows), len(names))


def twins(rows: Sequence[Factors], columns: Iterable[Column]) -> Iterator[tuple[Column, list[tuple[int, int]]]]:
    """Yield, for each column, the pairs of rows that differ in its decision alone.

    The first of a pair has the value of the column, the second its reference; each row is in one pair of a column at
    most.
    """
    among: dict[str, dict[frozenset[tuple[str, str]], dict[str, list[int]]]] = {}
    for column in columns:
        if column.decision not in among:
            among[column.decision] = _equal_but_for(column.decision, rows)
        pairs = [
            pair
            for groups in among[column.decision].values()
            for pair in zip(groups.get(column.value, ()), groups.get(column.reference, ()), strict=False)
        ]
        yield column, pairs


def _equal_but_for(decision: str, rows: Sequence[Factors]) -> dict[frozenset[tuple[str, str]], dict[str, list[int]]]:
    """Return, for each way in which the other decisions were made, value of this decision → rows."""
    found: dict[frozenset[tuple[str, str]], dict[str, list[int]]] = {}
    for number, row in enumerate(rows):
        if decision in row.values:
            others = frozenset(item for item in row.exact.items() if item[0] != decision)
            found.setdefault(others, {}).setdefault(row.values[decision], []).append(number)
    return found
