"""The pilot of a search: its first trials, of uniformly drawn topologies, each from several seeds, the baselines too.

They tell whether there is anything to find (nas.analysis.pilot), and count among the trials of the search.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from nas.sampling.topologies import GuidedTrial
from nas.searching.controls import Controls
from nas.searching.repeats import Repeats, Request
from nas.space import SearchSpace
from nas.space.settings import PilotSettings
from nas.study.attributes import PILOT, counts, recorded
from nas.topology import Topology

LONG = 200  # trials of a search that begins with a pilot by itself
SHARE = 0.1  # of its trials are the pilot's
SEEDS = 2
TRIES = 1000  # draws that may be known in a row, or over the limits in all, before no other is tried


def resolved(space: SearchSpace, trials: int, seeded: bool, past: Sequence[FrozenTrial] = ()) -> PilotSettings | None:
    """Return the pilot of a search with so many trials; None for none.

    seeded  whether a result may depend on the seed
    past    trials of earlier sessions: a search that has begun without a pilot goes on without one
    """
    wanted = space.search.pilot
    if wanted == "auto":
        if any(map(counts, past)) and not any(PILOT in recorded(trial) for trial in past):
            return None
        long = trials >= LONG and seeded and space.search.repeats == "auto"
        return PilotSettings(topologies=min(20, int(SHARE * trials) // SEEDS), seeds=SEEDS) if long else None
    return wanted


class PilotPhase:
    """Chooses the trainings of a pilot.

    wanted    how many topologies and seeds; None for no pilot
    repeats   knows the seeds with which each topology was evaluated
    controls  knows the baselines

    refused   how many drawn topologies were over the limits
    """

    def __init__(self, space: SearchSpace, wanted: PilotSettings | None, repeats: Repeats, controls: Controls) -> None:
        self.space, self.wanted, self.repeats, self.controls = space, wanted, repeats, controls
        self._rng = random.Random(f"pilot {space.search.seed}")
        self._topologies: dict[str, Topology] = {}  # by key
        self.refused = 0

    def began(self, topology: Topology) -> None:
        """Note that a topology of the pilot is evaluated."""
        self._topologies.setdefault(topology.key, topology)

    def choose(self) -> Request | None:
        """Return the next training; None if all of them have begun, or if no other topology can be drawn."""
        if self.wanted is None:
            return None
        for count in range(1, self.wanted.seeds + 1):
            for topology in self._topologies.values():
                if self.repeats.count(topology.key) < count:
                    return self.repeats.request(topology, pilot=True)
            if len(self._topologies) < self.wanted.topologies and (drawn := self._drawn()) is not None:
                return self.repeats.request(drawn, pilot=True)
            for name, topology in self.controls.baselines.items():
                if 0 < self.repeats.count(topology.key) < count:
                    return self.repeats.request(topology, name)
        return None

    def _drawn(self) -> Topology | None:
        """Return a uniformly drawn topology that was not evaluated; None if there is none."""
        for _ in range(TRIES if self.refused < TRIES else 0):
            topology = self.space.sample(GuidedTrial({}, self._rng))
            if not self.repeats.count(topology.key):
                return topology
        return None
