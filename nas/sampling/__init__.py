"""Proposals for the next topology: the topology sampler, and Optuna's samplers by name. No ray."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
