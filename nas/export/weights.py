"""Weights under the names of the exported network, and their file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nas.errors import ExportError
from nas.export.block_groups import exported_names
from nas.export.stem_and_head import exported_head
from nas.network.blueprint import blueprint
from nas.topology import Topology

if TYPE_CHECKING:
    from torch import Tensor

PLACE = re.compile(r"blocks\.\d+\.\w+|head(\.\w+)?")


def rename_tensors(topology: Topology, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state_dict of `nas.build(topology)` under the names of the exported network; gradients likewise.

    Raises ExportError for a name that the built network does not have.
    """
    plan = blueprint(topology)
    head = exported_head(topology, plan.head).built_name
    places = exported_names(plan) | {head: "head"}
    names = {}
    for key in state:
        module, dot, rest = _split(key, head)
        if module.startswith("blocks") and module not in places:
            raise ExportError(f"weights have {key!r}, which a network of this topology does not have")
        names[places.get(module, module) + dot + rest] = key
    return {new: state[old] for new, old in names.items()}


def _split(key: str, head: str) -> tuple[str, str, str]:
    """blocks.3.project.conv.weight → blocks.3.project, conv.weight."""
    parts = key.split(".")
    depth = 3 if parts[0] == "blocks" else head.count(".") + 1 if parts[0] == "head" else 1
    return ".".join(parts[:depth]), "." * (len(parts) > depth), ".".join(parts[depth:])


def safetensors_bytes(state: Mapping[str, Tensor]) -> bytes:
    """The file's content; tensors that share memory (tied weights) are written once under each name."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})
