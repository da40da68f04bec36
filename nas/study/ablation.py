"""Ablation: a network of a run that is trained again with each of its skips removed, or replaced by another kind.

MEASURED of the trials of the whole network holds lesion_<key> for every change that its trained weights fit: the metric
on validation after the change, without any further training (Veit et al. 2016).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nas.study import retraining
from nas.topology import Topology

LESION = "lesion_"


class Variant(retraining.Network):
    """The whole network, or one with the skip of a block changed.

    topology       Topology.to_dict()
    place          the place of the block: block03; empty for the whole network, and for the simplified one
    before, after  the kinds of its skip
    """

    topology: dict[str, Any]
    place: str = Field(default="", pattern=r"^(block\d+)?$")
    before: str = ""
    after: str = ""


class Plan(retraining.Plan):
    """The trainings that a call of `ablate` asks for: of the whole network, which is the first, and of its changes.

    simplified  the key of the network without all skips that do nothing; None before it is known, and without one. It
                is the last of the networks, unless it is one of the changes
    """

    networks: tuple[Variant, ...]
    simplified: str | None = None

    @property
    def whole(self) -> Variant:
        """The network that nothing was changed in."""
        return self.networks[0]


class Ablation(retraining.Retraining):
    """The study NAME.ablate of a run."""

    purpose = "ablate"
    keeps_weights = False

    @property
    def plan(self) -> Plan | None:
        """The plan of the last call; None if there was none. Raises RunError if the study holds no valid one."""
        return self.read_plan(Plan)

    def topology(self, network: retraining.Network) -> Topology:
        """Return the topology of a network of a plan."""
        assert isinstance(network, Variant)
        return Topology.from_dict(network.topology)
