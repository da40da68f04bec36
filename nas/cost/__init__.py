"""What a topology costs, and what foretells its metric, before it is trained."""

from nas.cost.cost import Cost, itemise, measure

__all__ = ["Cost", "itemise", "measure"]
