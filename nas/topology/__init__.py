"""One architecture as plain data: its vocabulary, its blocks, their shapes, and the published ones. No torch."""

from nas.topology import references
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.topology import Topology

__all__ = ["Block", "Head", "Skip", "Stem", "Topology", "references"]
