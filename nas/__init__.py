"""Skip-topology neural architecture search: which blocks of a network should be bypassed, how, and from where?

    import nas

    run = nas.search(nas.SearchSpace.load("digits"), trials=20)
    best = run.best()
    nas.export_code(best, "network.py")

A name is imported when it is first used: `import nas` loads neither torch nor ray nor optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas import references as references
    from nas import search as search
    from nas.block import Block as Block
    from nas.block import Head as Head
    from nas.block import Skip as Skip
    from nas.block import Stem as Stem
    from nas.cost import measure as measure
    from nas.errors import NasError as NasError
    from nas.export import export_code as export_code
    from nas.network import build as build
    from nas.search.sampler import TopologySampler as TopologySampler
    from nas.space import SearchSpace as SearchSpace
    from nas.study import Run as Run
    from nas.tasks import Task as Task
    from nas.topology import Topology as Topology

__version__ = "0.1.0"

PUBLIC = {
    "Topology": "nas.topology",
    "Stem": "nas.block",
    "Block": "nas.block",
    "Skip": "nas.block",
    "Head": "nas.block",
    "SearchSpace": "nas.space",
    "references": "nas.references",
    "build": "nas.network",
    "measure": "nas.cost",
    "Task": "nas.tasks",
    "search": "nas.search",
    "TopologySampler": "nas.search.sampler",
    "Run": "nas.study",
    "export_code": "nas.export",
    "NasError": "nas.errors",
}
__all__ = list(PUBLIC)


def __getattr__(name: str) -> object:
    if name not in PUBLIC:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    module = import_module(PUBLIC[name])
    return module if PUBLIC[name] == f"nas.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
