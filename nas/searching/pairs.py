"""Matched pairs: leaders with the skip of one block changed, which tell what it is worth (nas.analysis.effects)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nas.analysis.factors import MAIN, NO_SKIP, Factors, factors_of, place_of
from nas.sampling.topologies import GuidedTrial
from nas.searching.repeats import FEWEST, Repeats, Request
from nas.space import SearchSpace
from nas.study.leaders import TopologyScores
from nas.topology import Topology

LEADERS = 5  # topologies of which one is changed


class Change(NamedTuple):
    """A leader with one decision changed.

    cell    the decision and the value that is compared: the one that is not `none`
    leader  the number of the leader's trial
    """

    topology: Topology
    cell: tuple[str, str]
    leader: int


class Pairs:
    """Chooses one-block changes of the leaders, so many that they are `search: pairs` of all trials.

    Of all changes it takes the one whose effect is least certain: of which it chose the fewest before, then the one
    whose value the fewest topologies have. It has the seed of the leader. A skip is removed, or put where there is
    none; where a space has no `none`, it is replaced.
    """

    def __init__(self, space: SearchSpace, repeats: Repeats) -> None:
        self.space, self.repeats, self.share = space, repeats, space.search.pairs
        self._rng = random.Random(f"pairs {space.search.seed}")
        self._seen: Counter[tuple[str, str]] = Counter()  # topologies that have a value
        self._made: Counter[tuple[str, str]] = Counter()
        self._begun = 0

    def began(self, topology: object, pair: object = None) -> None:
        """Note that a topology, or a recorded one, is evaluated; `pair` is its attribute PAIR if it is a change."""
        if not self.share:
            return
        factors = factors_of(self.space, topology)
        self._seen.update({} if factors is None else factors.values.items())
        if isinstance(pair, Mapping):
            self._begun += 1
            self._made[str(pair.get("decision")), str(pair.get("value"))] += 1

    def choose(self, finished: int, trials: int, scores: TopologyScores) -> Request | None:
        """Return the next change to evaluate; None if none is due.

        finished, trials  how many trials have ended, and how many the search is asked for
        """
        if not self.share or finished < max(FEWEST, trials // 10) or self._begun >= self.share * finished:
            return None
        changes = [change for change in self._changes(scores) if not self.repeats.count(change.topology.key)]
        if not changes:
            return None
        self._rng.shuffle(changes)
        chosen = min(changes, key=lambda change: (self._made[change.cell], self._seen[change.cell]))
        decision, value = chosen.cell
        pair = {"of": chosen.leader, "decision": decision, "value": value}
        return self.repeats.request(chosen.topology, pair=pair)

    def _changes(self, scores: TopologyScores) -> Iterator[Change]:
        """Yield a change of the skip, or op, of each block of each leader."""
        standing = scores.standing
        for first in (standing.groups[place][0] for place in standing.order[:LEADERS]):
            factors = factors_of(self.space, first.topology)
            if factors is None:  # a baseline may be no point of the space
                continue
            params = self.space.encode(Topology.from_dict(first.topology))
            for name, value in params.items():
                if place_of(name) and name.rpartition(".")[2] in MAIN:
                    topology = self._changed(params, name, value)
                    after = factors_of(self.space, topology)
                    if after is not None and len(cells := _differences(factors, after)) == 1:
                        yield Change(topology, cells[0], first.number)

    def _changed(self, params: Mapping[str, Any], name: str, value: Any) -> Topology:
        """Return the topology with this parameter changed: to `none`, or from it to another value that is drawn."""
        if value == NO_SKIP:
            return self.space.sample(GuidedTrial(params, self._rng, {name}))
        return self.space.sample(GuidedTrial({**params, name: NO_SKIP}, self._rng))


def _differences(before: Factors, after: Factors) -> list[tuple[str, str]]:
    """Return the decisions that differ, each with its value after, or before where it is `none` after."""
    names = [name for name in before.exact | after.exact if before.exact.get(name) != after.exact.get(name)]
    return [(name, _telling(before.values.get(name, NO_SKIP), after.values.get(name, NO_SKIP))) for name in names]


def _telling(before: str, after: str) -> str:
    return before if after == NO_SKIP else after
