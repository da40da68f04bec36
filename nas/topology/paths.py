"""The paths from the stem to the head: at every block, a path goes through F or through the bypass. No torch.

A bypass multiplies the paths and shortens some of them; what a network with skips can be trained to depends more on
its short paths than on its depth (Veit et al. 2016, arXiv:1605.06431).
"""

from __future__ import annotations

import math
from collections import Counter

from nas.topology import Topology
from nas.topology.vocabulary import JOINS


def describe(topology: Topology) -> dict[str, float]:
    """Return statistics of the paths and skips of a topology, without building it; 20 µs for 16 blocks.

    log_paths      log2 of the number of paths: N[i] = N[i-1] + Σ N[source of a skip of block i], N[0] = 1
    shortest_path  the fewest transformations F on a path; a bypass has none, even with a projection or a gate
    mean_path      the mean number of transformations over all paths
    longest_path   the most transformations on a path: all blocks but those that compute y = x
    skips          bypasses
    long_skips     those that start before the block's own input
    mean_span      blocks that a bypass passes, on average; 0 without any
    add … mul      bypasses of each kind
    """
    paths, total, shortest, longest = [1], [0], [0], [0]  # of every node; `total` is the length of all paths together
    spans, kinds = [], Counter[str]()
    for number, (block, wire) in enumerate(zip(topology.blocks, topology.wiring.wires, strict=True), 1):
        step = 0 if wire.vanishes else 1
        paths.append(paths[-1])
        total.append(total[-1] + step * paths[-1])
        shortest.append(shortest[-1] + step)
        longest.append(longest[-1] + step)
        for skip, bypass in zip(block.skips, wire.bypasses, strict=True):
            paths[-1] += paths[bypass.source]
            total[-1] += total[bypass.source]
            shortest[-1] = min(shortest[-1], shortest[bypass.source])
            kinds[skip.kind] += 1
            spans.append(1 if bypass.short else number - bypass.source)
    return {
        "log_paths": math.log2(paths[-1]),
        "shortest_path": float(shortest[-1]),
        "mean_path": total[-1] / paths[-1],
        "longest_path": float(longest[-1]),
        "skips": float(len(spans)),
        "long_skips": float(sum(span > 1 for span in spans)),
        "mean_span": sum(spans) / len(spans) if spans else 0.0,
        **{kind: float(kinds[kind]) for kind in JOINS},
    }
