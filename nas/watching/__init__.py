"""Show runs in the Optuna dashboard: what a search publishes in its study, and the server of one run or of all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
