"""The command line `nas`: `app` is the Typer application with all commands, `main` runs it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
