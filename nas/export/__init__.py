"""The way out: a network as Python that imports torch alone, proven equal, with its weights and a card."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
