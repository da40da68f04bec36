"""What a search has evaluated, by whatever session and process: what its parts that choose a topology need to know."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from nas.errors import OverLimits, TopologyError
from nas.searching.candidate import Candidate
from nas.searching.controls import Controls
from nas.searching.pairs import Pairs
from nas.searching.pilot import PilotPhase, resolved
from nas.searching.repeats import Repeats
from nas.space import SearchSpace
from nas.study.attributes import BASELINE, KEY, PAIR, PILOT, REASON, SEED, TOPOLOGY
from nas.topology import Topology


class Evaluations:
    """Tells repeats, pairs, controls and the pilot of every evaluation that begins, or that began before.

    trials, past  how many trials the search is asked for, and the trials of earlier sessions
    seeded        whether a result may depend on the seed
    """

    def __init__(self, space: SearchSpace, trials: int, past: Sequence[FrozenTrial], *, seeded: bool) -> None:
        self.repeats = Repeats(space, seeded)
        self.pairs = Pairs(space, self.repeats)
        self.controls = Controls(space, self.repeats)
        self.pilot = PilotPhase(space, resolved(space, trials, seeded, past), self.repeats, self.controls)

    def began(self, candidate: Candidate) -> None:
        """Note that a candidate is evaluated, or refused."""
        self.repeats.began(candidate.topology.key, candidate.seed)
        self.pairs.began(candidate.topology, candidate.more.get(PAIR))
        self._note_role(candidate.topology, candidate.baseline, candidate.pilot and candidate.refusal is None)

    def recall(self, known: Mapping[str, Any], *, met: bool) -> None:
        """Take the record of a trial of an earlier session, or of another process.

        met  whether the trial was taken before, while it was trained
        """
        if not met:
            self.pairs.began(known.get(TOPOLOGY), known.get(PAIR))
        if {KEY, SEED} <= known.keys():
            self.repeats.began(known[KEY], known[SEED])
        if known.keys() & {BASELINE, PILOT}:
            with contextlib.suppress(TopologyError):  # one that cannot be read is left out
                topology = Topology.from_dict(known.get(TOPOLOGY))
                over = str(known.get(REASON, "")).startswith(OverLimits.reason)
                self._note_role(topology, known.get(BASELINE), bool(known.get(PILOT)) and not over)

    def _note_role(self, topology: Topology, baseline: str | None, pilot: bool) -> None:
        if baseline is not None:
            self.controls.add(topology, baseline)
        if pilot:
            self.pilot.began(topology)
