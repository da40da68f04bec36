"""Search spaces: a YAML file in which a list is a choice, and the topologies it holds. No torch, no optuna."""

from nas.space.settings import OBJECTIVES, PRICED
from nas.space.space import SearchSpace, Trial, available

__all__ = ["OBJECTIVES", "PRICED", "SearchSpace", "Trial", "available"]
