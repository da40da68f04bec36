"""Skip-topology neural architecture search: which blocks of a network should be bypassed, how, and from where?

    import nas

    run = nas.search(nas.SearchSpace.load("digits"), trials=20)
    best = run.best()
    nas.export_code(best, "network.py")

The public names of a package stand in its __init__.pyi, here and in every wing. Each is imported when it is first used:
`import nas` loads neither torch nor ray nor optuna.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
