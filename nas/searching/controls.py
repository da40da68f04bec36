"""Controls: what a search trains besides its trials, so that its winner can be judged.

The baselines come first (nas.searching.waiting). After the last trial follow the winner's own chain with every skip
`add` and with none, which separate what its skips are worth from what its widths and depths are worth. Then the best
baseline and these two get as many results as the winner has, with the same seeds. A search without baselines has no
controls.
"""

from __future__ import annotations

from collections.abc import Iterator

from nas.errors import SpaceError, TopologyError
from nas.searching.repeats import Repeats, Request
from nas.space import SearchSpace
from nas.study.leaders import Standing, TopologyScores, TrialScore
from nas.topology import Topology

OWN_CHAIN = {"add": "every skip add", "none": "no skips"}


class Controls:
    """Knows the baselines of a search by their canonical keys, and chooses what is to be trained after its last trial.

    repeats    knows the seeds with which each topology was evaluated
    baselines  name → topology of those whose evaluation began
    """

    def __init__(self, space: SearchSpace, repeats: Repeats) -> None:
        self.space, self.repeats = space, repeats
        self.baselines: dict[str, Topology] = {}
        self._names: dict[str, str] = {}

    def add(self, topology: Topology, name: str) -> None:
        """Note that the topology is a baseline."""
        if topology.key not in self._names:
            self._names[topology.key] = name
            self.baselines[name] = topology

    def choose(self, scores: TopologyScores) -> Request | None:
        """Return the next control, given the results so far; None if there is nothing to train at the moment."""
        standing = scores.settled
        if not self._names or not standing.best:
            return None
        winner = standing.best[0]
        wanted = self.repeats.count(winner.key)
        for name, topology in self._contestants(winner, standing):
            if self.repeats.count(topology.key) < wanted:
                return self.repeats.request(topology, name)
        return None

    def _contestants(self, winner: TrialScore, standing: Standing) -> Iterator[tuple[str, Topology]]:
        """Yield the names and topologies of what the winner is compared with."""
        if winner.key not in self._names:
            for kind, words in OWN_CHAIN.items():
                try:
                    own = self.space.uniform(Topology.from_dict(winner.topology), kind)
                except (SpaceError, TopologyError):  # another program added it, and it is no point of the space
                    break
                if own.key != winner.key:
                    yield self._names.get(own.key, f"trial {winner.number}: {words}"), own
        ranked = (standing.groups[place][0].key for place in standing.order)
        best = next((self._names[key] for key in ranked if key in self._names), None)
        if best is not None:
            yield best, self.baselines[best]
