"""Confirmation: networks of a run that are trained again, with seeds that the search has not used, and tested.

MEASURED of its trials holds test_<metric> and test_loss. The weights of each network's best training lie in the folder
confirm/ of the run.
"""

from __future__ import annotations

from pydantic import Field

from nas.study import retraining
from nas.topology import Topology


class Network(retraining.Network):
    """A network that is confirmed.

    name      of a baseline, or "trial 12"
    trial     its trial in the search
    baseline  whether it is one of the baselines and controls of the search
    searched  its metric in the search: the mean over its trainings
    expected  what all results of the search tell of its metric
    """

    trial: int = Field(ge=0)
    baseline: bool
    searched: float
    expected: float


class Plan(retraining.Plan):
    """The trainings that a call of `confirm` asks for, its networks in the order of the search, the best first."""

    networks: tuple[Network, ...]


class Confirmation(retraining.Retraining):
    """The study NAME.confirm of a run."""

    purpose = "confirm"

    @property
    def plan(self) -> Plan | None:
        """The plan of the last call; None if there was none. Raises RunError if the study holds no valid one."""
        return self.read_plan(Plan)

    def topology(self, network: retraining.Network) -> Topology:
        """Return the topology of a network of a plan."""
        assert isinstance(network, Network)
        return self.run.topology(network.trial)
