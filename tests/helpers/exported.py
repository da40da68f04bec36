"""An exported file as a module, and as a network, in this process."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from torch import nn

from nas.export.source import write_source
from nas.topology import Topology


def loaded(path: Path) -> ModuleType:
    loader = SourceFileLoader("exported", str(path))
    spec = spec_from_loader("exported", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def network(topology: Topology, folder: Path) -> nn.Module:
    """Network() of the file that the topology exports to."""
    path = folder / "network.py"
    path.write_text(write_source(topology, "network", 0), encoding="utf-8")
    made: nn.Module = loaded(path).Network()
    return made
