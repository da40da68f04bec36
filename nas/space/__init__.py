"""Search spaces: a YAML file in which a list is a choice, and the topologies it holds. No torch, no optuna."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
