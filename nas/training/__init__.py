"""Training: one candidate from its topology to its metrics, with its data, augmentation, optimiser and precision."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
