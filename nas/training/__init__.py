"""One candidate from its topology to its metrics: data, augmentation, optimiser, precision, and the loop over steps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
