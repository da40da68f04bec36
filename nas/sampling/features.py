"""Numbers that are computed from a topology before it is trained, as the search settings of its space request."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.space import SearchSpace
from nas.topology import Topology
from nas.topology.paths import describe


def recorded_proxies(space: SearchSpace, topology: Topology) -> dict[str, float | None]:
    """Return the proxies that are recorded with a candidate: those of `proxies` and of the prefilter, by name.

    A value that is not finite is None, because JSON has no number for it.
    """
    search = space.search
    names = dict.fromkeys([*search.proxies, *([search.prefilter.proxy] if search.prefilter else [])])
    if not names:
        return {}
    from nas.cost.proxies import compute_proxies

    return {
        name: value if math.isfinite(value) else None
        for name, value in compute_proxies(topology, names, space.recipe).items()
    }


def features_of(space: SearchSpace, topology: Topology) -> dict[str, float]:
    """Return the features of a topology for the topology sampler, besides those of its blocks.

    They are the statistics of its paths (`nas.topology.paths.describe`) and the proxies that the space requests.
    """
    values = describe(topology)
    if space.search.proxies:
        from nas.cost.proxies import compute_proxies

        values |= compute_proxies(topology, space.search.proxies, space.recipe)
    return values


def most_promising(space: SearchSpace, topologies: Sequence[Topology]) -> int:
    """Return the index of the topology with the largest value of the prefilter's proxy; 0 without a prefilter.

    A value that is NaN counts as −∞.
    """
    if len(topologies) == 1 or space.search.prefilter is None:
        return 0
    from nas.cost.proxies import compute_proxies

    name = space.search.prefilter.proxy
    values = [compute_proxies(topology, [name], space.recipe)[name] for topology in topologies]
    return max(range(len(values)), key=lambda number: -math.inf if math.isnan(values[number]) else values[number])
