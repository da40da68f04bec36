"""Measurements of a network at the start and after training: how it learns, and what its blocks compute."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
