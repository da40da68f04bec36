"""The way out: a network as Python that imports torch alone, proven equal, with its weights and a card.

A name is imported when it is first used: reading the topology of an exported file needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.export.card import Card
    from nas.export.reading import read_topology
    from nas.export.runs import export_run
    from nas.export.verification import verify, verify_all
    from nas.export.write import export_code, export_topology

__all__ = ["Card", "export_code", "export_run", "export_topology", "read_topology", "verify", "verify_all"]

_HOME = {
    "Card": "card",
    "export_run": "runs",
    "export_code": "write",
    "export_topology": "write",
    "read_topology": "reading",
    "verify": "verification",
    "verify_all": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
