"""What is computed of a topology before it is trained, as the search settings ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.space import SearchSpace
from nas.topology import Topology
from nas.topology.paths import describe


def foreseen(space: SearchSpace, topology: Topology) -> dict[str, float | None]:
    """The proxies that the record is to have; None for what is not finite."""
    search = space.search
    names = dict.fromkeys([*search.proxies, *([search.prefilter.proxy] if search.prefilter else [])])
    if not names:
        return {}
    from nas.cost.proxies import compute_proxies

    return {
        name: value if math.isfinite(value) else None
        for name, value in compute_proxies(topology, names, space.recipe).items()
    }


def features(space: SearchSpace, topology: Topology) -> dict[str, float]:
    """What the topology sampler sees of a topology besides its blocks: its paths, and the proxies asked for."""
    seen = describe(topology)
    if space.search.proxies:
        from nas.cost.proxies import compute_proxies

        seen |= compute_proxies(topology, space.search.proxies, space.recipe)
    return seen


def most_promising(space: SearchSpace, topologies: Sequence[Topology]) -> int:
    """Which of them the prefilter's proxy puts first."""
    if len(topologies) == 1 or space.search.prefilter is None:
        return 0
    from nas.cost.proxies import compute_proxies

    name = space.search.prefilter.proxy
    values = [compute_proxies(topology, [name], space.recipe)[name] for topology in topologies]
    return max(range(len(values)), key=lambda number: -math.inf if math.isnan(values[number]) else values[number])
