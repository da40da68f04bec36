"""The leaders of a search: the trials on the Pareto front and the best one. Their weights are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.space import SearchSpace
from nas.study.attributes import KEY, TOPOLOGY, elementwise_mean, is_feasible, winner_rank
from nas.study.pareto import Losses, ParetoFront
from nas.surrogate.expected import Expected, expected
from nas.surrogate.features import recorded_point
from nas.surrogate.points import Point

MOST_SETS = 12  # of topologies that cost no more than one of the front


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
    costs     the losses without that of the metric
    """

    number: int
    topology: Mapping[str, Any]
    key: str
    losses: Losses
    rank: Losses
    feasible: bool
    costs: Losses = ()

    @classmethod
    def of(cls, space: SearchSpace, number: int, values: Sequence[float], attributes: Mapping[str, Any]) -> TrialScore:
        """Return the score of trial `number` with these objective values and this record."""
        losses = space.goals.losses(values)
        rank, kept = winner_rank(space, attributes), is_feasible(space, attributes)
        names = space.goals.names
        costs = tuple(loss for name, loss in zip(names, losses, strict=True) if name != space.goals.metric)
        key = attributes.get(KEY, f"trial {number}")  # a trial that another program added may have neither
        return cls(number, attributes.get(TOPOLOGY, {}), key, losses, rank, kept, costs)


class TopologyScores:
    """The scores of all trials, grouped by canonical key.

    Topologies are compared by what is expected of their metric (nas.surrogate.expected), which is its value where no
    topology was evaluated with several seeds, and by the means of the other objectives over their seeds. The first
    trial of a topology stands for all of them.
    """

    def __init__(self, scores: Iterable[TrialScore] = ()) -> None:
        self._leaders = Leaders()
        self._of_key: dict[str, list[TrialScore]] = {}
        self._of_first: dict[int, list[TrialScore]] = {}  # by the number of the first trial of the key
        self._points: dict[str, Point] = {}
        self.has_repeats = False  # whether any topology was evaluated with several seeds
        self._stale = False  # whether `_leaders` does not know a score that may change the place of every topology
        for score in scores:
            self._append(score)

    def add(self, score: TrialScore) -> bool:
        """Add a trial and return whether its topology is a leader now."""
        first = self._append(score)
        return first in self.leaders.numbers

    def _append(self, score: TrialScore) -> int:
        """Add a trial and return the number of the first one of its topology."""
        self.__dict__.pop("expected", None)
        same = self._of_key.setdefault(score.key, [])
        same.append(score)
        self._of_first[same[0].number] = same
        self.has_repeats = self.has_repeats or len(same) > 1
        self._stale = self._stale or self.has_repeats
        if not self._stale:
            self._leaders.add(score.number, score.losses, score.rank, score.feasible)
        return same[0].number

    @property
    def groups(self) -> list[list[TrialScore]]:
        """The trials of each topology, in the order in which the topologies were evaluated first."""
        return list(self._of_key.values())

    @cached_property
    def expected(self) -> Expected:
        """The beliefs about the metric of each of `groups`; more is better."""
        groups = self.groups
        return expected(
            lambda place: self._point(groups[place][0]),
            [np.array([-score.rank[1] for score in same]) for same in groups],
        )

    def _point(self, score: TrialScore) -> Point:
        if score.key not in self._points:
            self._points[score.key] = recorded_point(score.key, score.topology)
        return self._points[score.key]

    @property
    def rivals(self) -> NDArray[np.bool_]:
        """The sets of topologies of each of which one is to be recommended, as rows: which of `groups` are in it.

        They are all that keep to the constraints, if any does; and with several objectives, for each of the front,
        those that cost no more than it.
        """
        feasible = np.array([all(score.feasible for score in same) for same in self.groups])
        costs = np.array([elementwise_mean([score.costs for score in same]) for same in self.groups])
        front = [place for place, same in enumerate(self.groups) if same[0].number in self.leaders.front.members]
        everywhere = np.atleast_2d(feasible | (not feasible.any()))
        if not costs.size or not front:
            return everywhere
        if len(front) > MOST_SETS:
            ranks = self.ranks
            front.sort(key=lambda place: ranks[place])
            front = [front[place] for place in np.linspace(0, len(front) - 1, MOST_SETS).astype(int)]
        return np.concatenate([everywhere, (costs <= costs[front][:, None]).all(2) & feasible])

    @property
    def leaders(self) -> Leaders:
        """The leaders, by the numbers of the first trials of their topologies."""
        if self._stale:
            self._leaders, self._stale = Leaders(), False
            for same, rank in zip(self.groups, self.ranks, strict=True):
                losses = elementwise_mean([score.costs for score in same])
                if len(losses) < len(same[0].losses):  # the metric is an objective: what is expected of it counts
                    losses = (rank[1], *losses)
                self._leaders.add(same[0].number, losses, rank, all(score.feasible for score in same))
        return self._leaders

    @property
    def ranks(self) -> list[Losses]:
        """The sort keys that choose the winner (`winner_rank`) of `groups`, with what is expected for the metric."""
        if not self.has_repeats:
            return [same[0].rank for same in self.groups]
        means = [elementwise_mean([score.rank for score in same]) for same in self.groups]
        return [
            (float(broken > 0), -float(metric), *others)
            for (broken, _, *others), metric in zip(means, self.expected.mean, strict=True)
        ]

    def place(self, number: int) -> int | None:
        """Return the place in `groups` of the topology of a trial; None if the trial has no score."""
        places = (place for place, same in enumerate(self.groups) if any(one.number == number for one in same))
        return next(places, None)

    @property
    def numbers(self) -> set[int]:
        """The numbers of all trials of the leading topologies, with every seed."""
        return {score.number for first in self.leaders.numbers for score in self._of_first[first]}

    @property
    def known(self) -> set[int]:
        """The numbers of all trials."""
        return {score.number for same in self._of_key.values() for score in same}

    @property
    def best(self) -> list[TrialScore]:
        """The trials of the best topology; empty without any trial."""
        return self._of_first[self.leaders.best[1]] if self.leaders.best else []

    @property
    def leading(self) -> list[TrialScore]:
        """The first trial of every leading topology, the best by rank first."""
        order = sorted(zip(self.ranks, self.groups, strict=True), key=lambda entry: (entry[0], entry[1][0].number))
        return [same[0] for _, same in order if same[0].number in self.leaders.numbers]
