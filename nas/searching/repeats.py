"""Repeats: in the second half of a search the leading topologies are evaluated again, with other seeds."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from nas.space import SearchSpace
from nas.study.leaders import TopologyScores, TrialScore
from nas.topology import Topology


class RepeatRequest(NamedTuple):
    """A topology to be evaluated again.

    seed     a seed with which it was not evaluated before
    earlier  how many evaluations of it began before
    """

    topology: Topology
    seed: int
    earlier: int


class Repeats:
    """Knows the seeds with which each topology was evaluated, and chooses which leader to evaluate again."""

    def __init__(self, space: SearchSpace) -> None:
        self.wanted, self.first_seed = space.search.repeats, space.search.seed
        self._seeds: dict[str, set[int]] = {}
        self._last_was_repeat = False

    def began(self, key: str, seed: int) -> None:
        """Note that an evaluation of the topology with this canonical key began with this seed."""
        self._seeds.setdefault(key, set()).add(seed)

    def choose(self, finished: int, trials: int, scores: TopologyScores) -> RepeatRequest | None:
        """Return the best leader with too few evaluations, for every second proposal of the second half of the search.

        finished, trials  how many trials have ended, and how many the search is asked for
        scores            say which topologies lead
        """
        due = self.wanted > 1 and 2 * finished >= trials and not self._last_was_repeat
        request = next(filter(None, map(self._request, scores.leading)), None) if due else None
        self._last_was_repeat = request is not None
        return request

    def _request(self, leader: TrialScore) -> RepeatRequest | None:
        seeds = self._seeds[leader.key]
        if len(seeds) >= self.wanted:
            return None
        seed = next(seed for seed in itertools.count(self.first_seed) if seed not in seeds)
        return RepeatRequest(Topology.from_dict(leader.topology), seed, len(seeds))
