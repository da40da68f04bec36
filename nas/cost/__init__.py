"""What a topology costs, and what foretells its metric, before it is trained."""

from nas.cost.cost import Cost, itemised, measure

__all__ = ["Cost", "itemised", "measure"]
