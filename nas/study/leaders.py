"""Who is not dominated, one candidate at a time; and the leaders, whose weights are worth keeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.study.attributes import mean

Losses = tuple[float, ...]


def dominates(left: Losses, right: Losses) -> bool:
    """No worse anywhere, better somewhere; smaller is better."""
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


class Front:
    """Who is not dominated by anybody who was added: `members` are their losses by name."""

    def __init__(self) -> None:
        self.members: dict[Any, Losses] = {}

    def add(self, name: Any, losses: Losses) -> bool:
        """Is it a member now? Whom it dominates is one no more; equals stay together."""
        if any(dominates(other, losses) for other in self.members.values()):
            return False
        self.members = {n: other for n, other in self.members.items() if not dominates(losses, other)}
        self.members[name] = losses
        return True


class Leaders:
    """The finished candidates on the front, and the best by rank."""

    def __init__(self) -> None:
        self.front = Front()
        self.best: tuple[Losses, int] | None = None

    def add(self, number: int, losses: Losses, rank: Losses, feasible: bool = True) -> bool:
        """Is it a leader now? `losses` are its objectives, `rank` what the winner is chosen by; smaller is better.

        What is not feasible is on no front.
        """
        first = self.best is None or (rank, number) < self.best
        if first:
            self.best = rank, number
        return (feasible and self.front.add(number, losses)) or first

    @property
    def numbers(self) -> set[int]:
        return self.front.members.keys() | ({self.best[1]} if self.best else set())


@dataclass(frozen=True)
class Result:
    """Of a trial that was trained to the end: whose it is, and what the leaders are chosen by; smaller is better."""

    number: int
    topology: Mapping[str, Any]  # Topology.to_dict()
    key: str
    losses: Losses
    rank: Losses
    feasible: bool


class Results:
    """Every result by its key, several where a topology was evaluated with several seeds: then their means count."""

    def __init__(self) -> None:
        self.leaders = Leaders()
        self._of_key: dict[str, list[Result]] = {}
        self._of_number: dict[int, list[Result]] = {}  # by the first trial of the key, which stands for all

    def add(self, result: Result) -> bool:
        """Is its topology a leader now?"""
        same = self._of_key.setdefault(result.key, [])
        same.append(result)
        self._of_number[same[0].number] = same
        if len(same) == 1:
            return self._rank(same)
        self.leaders = Leaders()  # a mean may become worse, and others lead that did not before
        for results in self._of_key.values():
            self._rank(results)
        return same[0].number in self.leaders.numbers

    def _rank(self, same: list[Result]) -> bool:
        losses, rank = mean([result.losses for result in same]), mean([result.rank for result in same])
        return self.leaders.add(same[0].number, losses, rank, all(result.feasible for result in same))

    @property
    def numbers(self) -> set[int]:
        """The trials of the leaders, with every seed."""
        return {result.number for first in self.leaders.numbers for result in self._of_number[first]}

    @property
    def leading(self) -> list[Result]:
        """The first result of every leader, the best by rank first."""
        groups = [self._of_number[first] for first in self.leaders.numbers]
        groups.sort(key=lambda same: (mean([result.rank for result in same]), same[0].number))
        return [same[0] for same in groups]
