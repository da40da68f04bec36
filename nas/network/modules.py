"""Every torch module that a constructor call may name, found in the files of nas/network/ops and in torch.nn."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from torch import nn

from nas.network import ops
from nas.network.plans import Call


def _classes() -> Iterator[type[nn.Module]]:
    """Yield the modules that the files of nas/network/ops define."""
    for file in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"{ops.__name__}.{file.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__:
                yield value


MODULES: dict[str, type[nn.Module]] = {found.__name__: found for found in _classes()}


def construct(call: Call) -> nn.Module:
    """Return the module that the call makes."""
    arguments: dict[str, Any] = dict(call.kwargs)
    module = getattr(nn, call.name.removeprefix("nn.")) if call.name.startswith("nn.") else MODULES[call.name]
    made: nn.Module = module(*call.args, **arguments)
    return made
