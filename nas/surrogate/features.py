"""The features of a topology: what a surrogate model predicts its objectives from."""

from __future__ import annotations

import sys
from collections import Counter

from nas.errors import TopologyError
from nas.surrogate.points import Point
from nas.topology import Topology
from nas.topology.block import options_of


def block_features(topology: Topology) -> dict[str, str | float]:
    """Return the features of the canonical form of a topology.

    They are the op, the width, the kind of skip and the source of every block as categories, and where a block has
    several skips or a scale, those as well; the number of blocks of every stage, over 8; and twice the share of the
    blocks that have each op, each kind of skip, each scale, and a short or a long skip. A block is named by its stage
    (a run of blocks between two changes of resolution) and its number in the stage, so that a missing block changes no
    feature of other stages.
    """
    plain = topology.canonical()
    features: dict[str, str | float] = {"stem": f"{plain.stem.op} {plain.stem.width}", "head": plain.head.op}
    counts: Counter[str] = Counter()
    stage = place = 0
    for block, wire in zip(plain.blocks, plain.wiring.wires, strict=True):
        stage, place = (stage + 1, 1) if wire.input.size != wire.output.size else (stage, place + 1)
        op = " ".join([block.op, *(f"{name}={value}" for name, value in sorted(options_of(block).items()))])
        at = f"stage {stage} block {place}"
        features |= {f"{at} op": op, f"{at} width": str(block.width), f"{at} skip": "none", f"{at} source": "None"}
        features[f"stage {stage} blocks"] = place / 8
        counts.update([f"op {op}", *([] if block.skips else ["skip none", "skip short"])])
        for number, skip in enumerate(block.skips, 1):
            which = "" if number == 1 else str(number)
            features |= {f"{at} skip{which}": skip.kind, f"{at} source{which}": str(skip.source)}
            counts.update([f"skip {skip.kind}", f"skip {'short' if skip.source is None else 'long'}"])
            if skip.scale is not None:
                counts[f"scale {skip.scale.kind}"] += 1
                features[f"{at} scale{which}"] = skip.scale.kind
        if block.branch is not None:
            counts[f"branch {block.branch.kind}"] += 1
            features[f"{at} branch"] = block.branch.kind
    features |= {counted: 2 * count / len(plain.blocks) for counted, count in counts.items()}
    # all points of a search share the few texts, which would otherwise be most of the memory that a trial takes
    return {sys.intern(name): sys.intern(it) if isinstance(it, str) else it for name, it in features.items()}


def recorded_point(key: str, data: object) -> Point:
    """Return the point of a recorded topology, Topology.to_dict(); without features where the record cannot be read."""
    try:
        return Point({}, key, block_features(Topology.from_dict(data)))
    except TopologyError:
        return Point({}, key, {})
