"""One architecture as plain data: its vocabulary, its blocks, their shapes, and the published ones. No torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
