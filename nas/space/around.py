"""The space around one network: its own chain, with other kinds of skips wherever it has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.errors import SpaceError
from nas.space.skips import scale_word
from nas.space.space import SearchSpace
from nas.topology import Topology
from nas.topology.block import Block, options_of
from nas.topology.vocabulary import JOINS, OPS

KINDS = ("none", "add", "gate")


def space_around(topology: Topology, task: str, kinds: Sequence[str] = KINDS, **sections: Any) -> SearchSpace:
    """Return the space in which every skip of the topology may be one of these kinds as well. It holds the topology.

    task      the name of a task
    sections  further sections of a space file: train, search …

    Raises SpaceError where the task does not fit, or where the language has no such space.
    """
    stem: dict[str, Any] = {"op": {"op": topology.stem.op, **options_of(topology.stem)}}
    stem |= {} if topology.stem.width is None else {"width": topology.stem.width}
    stages = [_stage(number, block, kinds) for number, block in enumerate(topology.settled, 1)]
    head = {"op": {"op": topology.head.op, **options_of(topology.head)}}
    data = {"task": task, "network": {"stem": stem, "stages": stages, "head": head}, **sections}
    space = SearchSpace.from_dict(data)
    space.encode(topology)
    return space


def _stage(number: int, block: Block, kinds: Sequence[str]) -> dict[str, Any]:
    """Return the stage of one block."""
    stage: dict[str, Any] = {"blocks": 1, "op": {"op": block.op, **options_of(block)}, "stride": block.stride}
    if block.width is not None and not OPS[block.op].keeps_width:
        stage["width"] = block.width
    return stage | {"skips": _skips(number, block, kinds)}


def _skips(number: int, block: Block, kinds: Sequence[str]) -> dict[str, Any]:
    if not block.skips:
        return {"kinds": ["none"]}
    if len(block.skips) > 1:
        raise SpaceError(f"block {number} has several skips, around which there is no space yet")
    (skip,) = block.skips
    own = "long" if skip.source is not None else skip.kind
    found: dict[str, Any] = {"kinds": list(dict.fromkeys([own, *kinds]))}
    found |= {name: scale_word(scale) for name, scale in (("scale", skip.scale), ("branch", block.branch)) if scale}
    for kind, join in JOINS.items():
        if join.widens and block.width is not None:
            found[kind] = {"growth": block.width}
    options = {name: value for name, value in options_of(skip).items() if value is not None}
    if skip.source is None:
        found[skip.kind] = found.get(skip.kind, {}) | options
        found[skip.kind] |= {} if JOINS[skip.kind].widens else {"shortcut": skip.shortcut}
        return found
    span = number - skip.source
    found["long"] = {"join": skip.kind, "reach": [span, span]}
    found["long"] |= {} if JOINS[skip.kind].widens else {"shortcut": skip.shortcut}
    found[skip.kind] = found.get(skip.kind, {}) | options
    return found
