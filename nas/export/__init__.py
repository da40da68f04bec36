"""Export a network as Python code that imports torch alone, proven equal to the original, with weights and a card."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
