"""The leaders of a search: the trials on the Pareto front and the best one. Their weights are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
GROWTH = 1.05  # the scores are compared anew once there are so many times as many
REACH = 2  # standard deviations of the noise by which a value that was not compared yet may be better than it looks


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

    def may_lead(self, losses: Losses, rank: Losses, feasible: bool) -> bool:
        """Return whether a trial with these figures would be a leader."""
        first = self.best is None or rank < self.best[0]
        return first or (feasible and self.front.accepts(losses))

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


class Standing:
    """A comparison of topologies by their scores: which of them lead, and what is expected of each.

    Topologies are compared by what is expected of their metric (nas.surrogate.expected), which is its value where no
    topology was evaluated with several seeds, and by the means of the other objectives over their seeds. The first
    trial of a topology stands for all of them.

    groups  the scores of each topology, in the order in which the topologies were evaluated first
    """

    def __init__(self, groups: Iterable[Sequence[TrialScore]], point: Callable[[TrialScore], Point]) -> None:
        self.groups = [tuple(same) for same in groups]
        self._point = point
        self.has_repeats = any(len(same) > 1 for same in self.groups)

    @cached_property
    def expected(self) -> Expected:
        """The beliefs about the metric of each of `groups`; more is better."""
        return expected(
            lambda place: self._point(self.groups[place][0]),
            [np.array([-score.rank[1] for score in same]) for same in self.groups],
        )

    @cached_property
    def ranks(self) -> list[Losses]:
        """The sort keys that choose the winner (`winner_rank`) of `groups`, with what is expected for the metric."""
        if not self.has_repeats:
            return [same[0].rank for same in self.groups]
        means = [elementwise_mean([score.rank for score in same]) for same in self.groups]
        return [
            (float(broken > 0), -float(metric), *others)
            for (broken, _, *others), metric in zip(means, self.expected.mean, strict=True)
        ]

    @cached_property
    def order(self) -> list[int]:
        """The places in `groups`, the best by rank first."""
        return sorted(range(len(self.groups)), key=lambda place: (self.ranks[place], self.groups[place][0].number))

    @cached_property
    def leaders(self) -> Leaders:
        """The leaders, by the numbers of the first trials of their topologies."""
        leaders = Leaders()
        for same, rank in zip(self.groups, self.ranks, strict=True):
            losses = elementwise_mean([score.costs for score in same])
            if len(losses) < len(same[0].losses):  # the metric is an objective: what is expected of it counts
                losses = (rank[1], *losses)
            leaders.add(same[0].number, losses, rank, all(score.feasible for score in same))
        return leaders

    @cached_property
    def leading(self) -> list[TrialScore]:
        """The first trial of every leading topology, the best by rank first."""
        numbers = self.leaders.numbers
        return [self.groups[place][0] for place in self.order if self.groups[place][0].number in numbers]

    @property
    def best(self) -> Sequence[TrialScore]:
        """The trials of the best topology; empty without any trial."""
        return self.groups[self.order[0]] if self.groups else ()

    @cached_property
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
            front.sort(key=self.order.index)
            front = [front[place] for place in np.linspace(0, len(front) - 1, MOST_SETS).astype(int)]
        return np.concatenate([everywhere, (costs <= costs[front][:, None]).all(2) & feasible])

    def place(self, number: int) -> int | None:
        """Return the place in `groups` of the topology of a trial; None if the trial has no score."""
        places = (place for place, same in enumerate(self.groups) if any(one.number == number for one in same))
        return next(places, None)


class TopologyScores:
    """The scores of all trials, grouped by canonical key.

    To compare all of them for each new one would take longer with every trial, so that they are compared once there are
    GROWTH times as many as at the last time, or a trial leads and nothing is noise. Until then, under noise, a trial
    counts as a leader if it may be one.
    """

    def __init__(self, scores: Iterable[TrialScore] = ()) -> None:
        self._of_key: dict[str, list[TrialScore]] = {}
        self._points: dict[str, Point] = {}
        self._count = 0
        for score in scores:
            self._append(score)
        self._compare()

    def add(self, score: TrialScore) -> bool:
        """Add a trial and return whether its topology is a leader now, or may be one."""
        self._append(score)
        standing = self.standing
        if self._compared < self._count and self._may_lead(score, standing):
            if standing.has_repeats and standing.expected.noise:
                self._contenders.add(score.key)
            else:
                self._compare()  # it does lead, and others may not any more
        return score.key in self._keys

    def _append(self, score: TrialScore) -> None:
        self._of_key.setdefault(score.key, []).append(score)
        self._count += 1

    def _compare(self) -> None:
        self._standing = Standing(self._of_key.values(), self._point)
        self._compared = self._count
        self._contenders: set[str] = set()  # keys of topologies that may lead, as a score says that was not compared

    def _point(self, score: TrialScore) -> Point:
        if score.key not in self._points:
            self._points[score.key] = recorded_point(score.key, score.topology)
        return self._points[score.key]

    @staticmethod
    def _may_lead(score: TrialScore, standing: Standing) -> bool:
        lead = REACH * standing.expected.noise**0.5 if standing.has_repeats else 0.0
        broken, metric, *others = score.rank
        losses = (metric - lead, *score.costs) if len(score.costs) < len(score.losses) else score.losses
        return standing.leaders.may_lead(losses, (float(broken), metric - lead, *others), score.feasible)

    @property
    def standing(self) -> Standing:
        """The comparison that was made last; the newest scores may not be in it."""
        return self.settled if self._count >= GROWTH * self._compared else self._standing

    @property
    def settled(self) -> Standing:
        """The comparison of all topologies, with every score."""
        if self._compared < self._count:
            self._compare()
        return self._standing

    @property
    def _keys(self) -> set[str]:
        """The keys of the topologies that lead or may lead."""
        return {score.key for score in self.standing.leading} | self._contenders

    @property
    def numbers(self) -> set[int]:
        """The numbers of all trials of the topologies that lead or may lead, with every seed."""
        return {score.number for key in self._keys for score in self._of_key[key]}

    @property
    def known(self) -> set[int]:
        """The numbers of all trials."""
        return {score.number for same in self._of_key.values() for score in same}
