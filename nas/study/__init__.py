"""The durable record of a search: its folder and its Optuna study, and what both of them say."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
