"""Baselines that are the chain of a space, with one kind of skip around every block, at a size that the space allows.

    resnet          as large as the limits allow
    resnet(preact)  the same with the op preact wherever the space offers it
    resnet(each)    every size, from the smallest to the largest

A size says which depth, width and expansion each stage has. In the sizes of a family all stages have their smallest,
their largest, or what is as far in between. Where limits forbid the largest, single stages of the largest that fits are
raised for as long as it fits. Every other choice is the first of its list.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping

from nas.space.chain import Chain, Ends
from nas.space.decisions import Decision
from nas.topology import Topology
from nas.topology.geometry import Scalar
from nas.topology.vocabulary import JOINS

KIND_OF = {"plain": "none"} | {join.baseline: kind for kind, join in JOINS.items() if join.baseline}
EACH = "each"
SIZES = ("blocks", "width", "expansion")  # the last words of the names of decisions among sizes

Price = Callable[[Topology], Mapping[str, float]]  # topology → {params, flops, memory}, before training
Size = Mapping[str, int]  # name of a decision → the place of its value in the list, the smallest first


class Family:
    """The chains of a space with one kind of skip around every block.

    kind  of skip
    op    the op that is chosen wherever there is a choice with it
    """

    def __init__(self, chain: Chain, kind: str, op: str = "") -> None:
        self.chain, self.kind, self.op = chain, kind, op
        self._places: dict[str, int] = {}  # of each decision about the size: the place of the largest value
        self._walk(self._note)

    @classmethod
    def named(cls, name: str, chain: Chain) -> Family | None:
        """Return the family of resnet, resnet(preact) or resnet(each); None for what is no baseline of a chain."""
        found = re.fullmatch(r"(\w+?)(?:\((\w+)\))?", name)
        if found is None or found[1] not in KIND_OF:
            return None
        word = found[2] or EACH
        labels = {label for placed in chain.stages for label in placed.stage.labels}
        return cls(chain, KIND_OF[found[1]], "" if word == EACH else word) if word in {EACH} | labels else None

    def sizes(self) -> list[Ends]:
        """Return the chain in every size, the smallest first."""
        return list(map(self._at, self._sizes()))

    def largest(self, fits: Callable[[Ends], bool]) -> Ends:
        """Return the chain in the largest size that fits; in the smallest size if none does."""
        sizes = self._sizes()
        if fits(self._at(sizes[-1])):
            return self._at(sizes[-1])
        over = bisect.bisect_left(sizes, True, hi=len(sizes) - 1, key=lambda size: not fits(self._at(size)))
        return self._at(self._raised(sizes[over - 1], fits) if over else sizes[0])

    def _raised(self, size: Size, fits: Callable[[Ends], bool]) -> Size:
        """Return the size with single decisions raised, one place at a time, as long as it fits."""
        raised = True
        while raised:
            raised = False
            for name, last in self._places.items():
                larger = {**size, name: size[name] + 1}
                if size[name] < last and fits(self._at(larger)):
                    size, raised = larger, True
        return size

    def _sizes(self) -> list[Size]:
        """Return the sizes in which all stages have what is equally far from their smallest."""
        sizes: list[Size] = []
        for levels in itertools.product(*map(self._levels, SIZES)):
            of_word = dict(zip(SIZES, levels, strict=True))
            size = {name: round(of_word[_word(name)] * last) for name, last in self._places.items()}
            if size not in sizes:
                sizes.append(size)
        return sorted(sizes, key=lambda size: _estimate(self._at(size)))

    def _levels(self, word: str) -> Iterable[float]:
        """Return how far from the smallest values a kind of size can be: 0, …, 1 in as many steps as a list allows."""
        last = max((last for name, last in self._places.items() if _word(name) == word), default=0)
        return [place / last for place in range(last + 1)] if last else [0.0]

    def _at(self, size: Size) -> Ends:
        return self._walk(functools.partial(self._decide, size))

    def _walk(self, decide: Callable[[Decision], Scalar]) -> Ends:
        return self.chain.uniform(self.kind, decide)

    def _note(self, decision: Decision) -> Scalar:
        """Note a decision about the size, and choose the largest."""
        if _word(decision.name) in SIZES and all(type(value) is int for value in decision.values):
            self._places[decision.name] = len(decision.values) - 1
        return self._decide(self._places, decision)

    def _decide(self, size: Size, decision: Decision) -> Scalar:
        if self.op in decision.values:
            return self.op
        place = size.get(decision.name)
        return decision.values[0] if place is None else sorted(decision.values)[place]


def _word(name: str) -> str:
    return name.rpartition(".")[2]


def _estimate(ends: Ends) -> tuple[int, int]:
    """Return what grows with the number of parameters: the squares of all widths, then the number of blocks."""
    _, blocks, _ = ends
    return sum((block.width or 0) ** 2 for block in blocks), len(blocks)
