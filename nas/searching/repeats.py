"""Repeats: topologies that lead, or may lead, are evaluated again, with other seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from nas.errors import TopologyError
from nas.space import SearchSpace
from nas.study.leaders import TopologyScores, TrialScore
from nas.topology import Topology

# of `repeats: auto`
FEWEST = 8  # finished trials before the first repeat, or a tenth of those that are wanted if that is more
FIRST = 3  # repeats by which the noise becomes known
SHARE = 0.5  # of the finished trials may be repeats at the end of the search; at a fraction t of it, √t times that
LAST = 0.3  # the share of the trials, the last ones, that are repeats as long as one promises anything


class Request(NamedTuple):
    """A topology that is to be evaluated, which no sampler suggested.

    seed      a seed with which it was not evaluated before
    earlier   how many evaluations of it began before
    baseline  its name, if it is evaluated as a baseline
    pilot     whether it is one of the pilot (nas.searching.pilot)
    pair      of a change of a leader (nas.searching.pairs): its attribute PAIR
    """

    topology: Topology
    seed: int
    earlier: int
    baseline: str | None = None
    pilot: bool = False
    pair: Mapping[str, Any] | None = None


class Repeats:
    """Knows the seeds with which each topology was evaluated, and chooses which one to evaluate again.

    With `repeats: n` it is a leader with fewer than n evaluations, for every second proposal of the second half of the
    search. With `repeats: auto` it is the topology of which more values promise most for the recommendation
    (nas.surrogate.expected), or with several objectives for those along the front, as long as it promises anything:
    none where the seed does not matter.

    seeded  whether a result may depend on the seed
    """

    def __init__(self, space: SearchSpace, seeded: bool = True) -> None:
        self.wanted, self.first_seed, self.seeded = space.search.repeats, space.search.seed, seeded
        self._seeds: dict[str, set[int]] = {}
        self._last_was_repeat = False

    def began(self, key: str, seed: int) -> None:
        """Note that an evaluation of the topology with this canonical key began with this seed."""
        self._seeds.setdefault(key, set()).add(seed)

    def choose(self, finished: int, trials: int, scores: TopologyScores) -> Request | None:
        """Return what to evaluate again instead of a new proposal; None for a new proposal.

        finished, trials  how many trials have ended, and how many the search is asked for
        scores            say which topologies lead
        """
        if self.wanted == "auto":
            leader = self._promising(finished, trials, scores)
        else:
            due = self.wanted > 1 and 2 * finished >= trials and not self._last_was_repeat
            few = (
                (one for one in scores.standing.leading if self.count(one.key) < int(self.wanted)) if due else iter(())
            )
            leader = next(few, None)
        self._last_was_repeat = leader is not None
        if leader is None:
            return None
        try:
            return self.request(Topology.from_dict(leader.topology))
        except TopologyError:  # another program added a trial that cannot be trained again
            return None

    def count(self, key: str) -> int:
        """Return how many evaluations of the topology with this canonical key began."""
        return len(self._seeds.get(key, ()))

    def request(
        self,
        topology: Topology,
        baseline: str | None = None,
        *,
        pilot: bool = False,
        pair: Mapping[str, Any] | None = None,
    ) -> Request:
        """Return the request of another evaluation of a topology, with the first seed that it was not evaluated with.

        The seeds of all topologies are the same in the same order, so that their results are paired.
        """
        seeds = self._seeds.get(topology.key, set())
        seed = next(seed for seed in itertools.count(self.first_seed) if seed not in seeds)
        return Request(topology, seed, len(seeds), baseline, pilot, pair)

    def _promising(self, finished: int, trials: int, scores: TopologyScores) -> TrialScore | None:
        """Return the first trial of the topology whose repeat promises most; None if none is due."""
        if not self.seeded or finished < max(FEWEST, trials // 10):
            return None
        standing = scores.standing
        if standing.has_repeats and standing.expected.degrees > 1 and standing.expected.noise == 0:
            return None  # the seed does not matter
        repeats = sum(len(seeds) - 1 for seeds in self._seeds.values())
        if repeats < FIRST:
            firsts = (standing.groups[place][0] for place in standing.order)
            once = (first for first in firsts if self.count(first.key) == 1)
            return None if self._last_was_repeat else next(once, None)
        last = finished >= (1 - LAST) * trials
        if not standing.has_repeats or (not last and repeats >= SHARE * math.sqrt(finished / trials) * finished):
            return None
        groups = standing.groups
        unknown = [self.count(same[0].key) - len(same) for same in groups]
        pending = [place for place, count in enumerate(unknown) for _ in range(count)]
        chosen = standing.expected.worth_repeating(standing.rivals, pending)
        return None if chosen is None else groups[chosen][0]
