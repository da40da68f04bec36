"""Watch runs from elsewhere: the Optuna dashboard of one run or of all of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
