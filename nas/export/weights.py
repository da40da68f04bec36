"""Rename weights to the names of the exported network, and serialise them."""

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
    """Return a state_dict of `nas.build(topology)`, or its gradients, under the names of the exported network.

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
    """Split the key of a tensor: blocks.3.project.conv.weight is blocks.3.project, a dot, conv.weight."""
    parts = key.split(".")
    depth = 3 if parts[0] == "blocks" else head.count(".") + 1 if parts[0] == "head" else 1
    return ".".join(parts[:depth]), "." * (len(parts) > depth), ".".join(parts[depth:])


def safetensors_bytes(state: Mapping[str, Tensor]) -> bytes:
    """Return the content of a .safetensors file; tied weights, which share memory, are written under each name."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})
