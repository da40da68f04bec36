"""A space for a task whose metrics come from a table or from a function, and a network in it."""

from __future__ import annotations

from typing import Any

from nas.space import SearchSpace
from nas.topology import references

NETWORK = references.resnet(8, input=(1, 8, 8), outputs=10)


def space(task: Any) -> SearchSpace:
    """A small space for the task, as a space file names it."""
    network = {
        "stem": {"op": "conv3x3", "width": 4},
        "stages": [{"blocks": 2, "op": "basic", "width": 4}],
        "head": "classify",
    }
    return SearchSpace.from_dict({"task": task, "network": network, "search": {"baselines": []}})
