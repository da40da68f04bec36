"""What would make the host wait for a GPU, counted on a CPU."""

from __future__ import annotations

from typing import Any

from nas.network.compat import TorchDispatchMode


class Syncs(TorchDispatchMode):
    """Counts what makes the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in ("_local_scalar_dense", "is_nonzero", "equal", "nonzero")
        return func(*args, **(kwargs or {}))
