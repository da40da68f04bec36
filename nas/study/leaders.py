"""The leaders of a search: the trials on the Pareto front and the best one. Their weights are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.space import SearchSpace
from nas.study.attributes import KEY, TOPOLOGY, elementwise_mean, is_feasible, winner_rank
from nas.study.pareto import Losses, ParetoFront


class Leaders:
    """The trials on the Pareto front of the objectives, and the best trial in the order that chooses the winner."""

    def __init__(self) -> None:
        self.front = ParetoFront[int]()
        self.best: tuple[Losses, int] | None = None

    def add(self, number: int, losses: Losses, rank: Losses, feasible: bool = True) -> bool:
        """Add trial `number` and return whether it is a leader now.

        losses    its objectives; smaller is better
        rank      the sort key that chooses the winner (nas.study.attributes.winner_rank); smaller is better
        feasible  whether it keeps to the constraints; if it does not, it is on no front, but it may be the best
        """
        first = self.best is None or (rank, number) < self.best
        if first:
            self.best = rank, number
        return (feasible and self.front.add(number, losses)) or first

    @property
    def numbers(self) -> set[int]:
        """The numbers of the leading trials."""
        return self.front.members.keys() | ({self.best[1]} if self.best else set())


@dataclass(frozen=True)
class TrialScore:
    """The figures that decide whether a trial of the full budget is a leader; smaller is better everywhere.

    topology  Topology.to_dict()
    key       the canonical key of the topology
    losses, rank, feasible  see Leaders.add
    """

    number: int
    topology: Mapping[str, Any]
    key: str
    losses: Losses
    rank: Losses
    feasible: bool

    @classmethod
    def of(cls, space: SearchSpace, number: int, values: Sequence[float], attributes: Mapping[str, Any]) -> TrialScore:
        """Return the score of trial `number` with these objective values and user attributes."""
        losses = space.goals.losses(values)
        rank, kept = winner_rank(space, attributes), is_feasible(space, attributes)
        return cls(number, attributes[TOPOLOGY], attributes[KEY], losses, rank, kept)


class TopologyScores:
    """The scores of all trials, grouped by canonical key.

    If a topology was evaluated with several seeds, the means over its trials are compared, and its first trial stands
    for all of them.
    """

    def __init__(self) -> None:
        self.leaders = Leaders()
        self._of_key: dict[str, list[TrialScore]] = {}
        self._of_first: dict[int, list[TrialScore]] = {}  # by the number of the first trial of the key

    def add(self, score: TrialScore) -> bool:
        """Add a trial and return whether its topology is a leader now."""
        same = self._of_key.setdefault(score.key, [])
        same.append(score)
        self._of_first[same[0].number] = same
        if len(same) == 1:
            return self._rank(same)
        self.leaders = Leaders()  # the mean may have become worse, so that other topologies lead now
        for scores in self._of_key.values():
            self._rank(scores)
        return same[0].number in self.leaders.numbers

    def _rank(self, same: list[TrialScore]) -> bool:
        losses, rank = (
            elementwise_mean([score.losses for score in same]),
            elementwise_mean([score.rank for score in same]),
        )
        return self.leaders.add(same[0].number, losses, rank, all(score.feasible for score in same))

    @property
    def numbers(self) -> set[int]:
        """The numbers of all trials of the leading topologies, with every seed."""
        return {score.number for first in self.leaders.numbers for score in self._of_first[first]}

    @property
    def leading(self) -> list[TrialScore]:
        """The first trial of every leading topology, the best by rank first."""
        groups = [self._of_first[first] for first in self.leaders.numbers]
        groups.sort(key=lambda same: (elementwise_mean([score.rank for score in same]), same[0].number))
        return [same[0] for same in groups]
