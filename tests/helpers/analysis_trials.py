"""A made-up search over digits: what `Run.frame()` gives, without a storage. Everything follows from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from nas.space import OBJECTIVES, Goals, Objective
from nas.space.objectives import Direction, costs
from nas.study.frame import COURSE, FACTS
from nas.topology import Topology
from nas.topology.block import Block, Head, Skip, Stem


def goals(
    *objectives: str | Objective,
    metric: str = "accuracy",
    direction: Direction = "maximize",
    constraints: Mapping[str, float] = MappingProxyType({}),
) -> Goals:
    """Goals without a space: names of OBJECTIVES, that of the metric, or objectives that a space would declare."""
    target = Objective(metric, direction)
    rows = (target if one == metric else OBJECTIVES[one] if isinstance(one, str) else one for one in objectives)
    return Goals(target, tuple(rows), constraints)


GOALS = goals("accuracy", "params", "memory")
COLUMNS = (*FACTS, "accuracy", *costs(), *COURSE)


def chain(skips: Sequence[Skip | None], widths: Sequence[int] = (16, 32, 64)) -> Topology:
    """Basic blocks on 8×8 digits in stages as long as each other, one for each width."""
    blocks = []
    for number, skip in enumerate(skips):
        stage, before = (index * len(widths) // len(skips) for index in (number, number - 1))
        blocks.append(Block("basic", widths[stage], 2 if 0 <= before < stage else 1, skip))
    return Topology((1, 8, 8), Stem("conv3x3", widths[0]), tuple(blocks), Head("classify"), 10)


ADD, CONCAT, GATE, MUL = (Skip(kind) for kind in ("add", "concat", "gate", "mul"))
WINNER = chain(
    [ADD, Skip("concat", 0), None, GATE, ADD, Skip("add", 2), MUL, Skip("concat", 3), ADD, None, Skip("gate", 7), ADD]
)
BASELINES = {"plain": None, "resnet": ADD, "densenet": CONCAT, "highway": GATE}


def a_skip(source: random.Random, number: int) -> Skip | None:
    kind = source.choice(["none", "add", "add", "concat", "gate", "mul", "long"])
    if kind == "none":
        return None
    if kind == "long" and number > 2:
        return Skip(source.choice(["add", "concat"]), source.randrange(max(0, number - 9), number - 2))
    return Skip("add" if kind == "long" else kind)


def trial(number: int, topology: Topology, name: str | None = None, **changes: Any) -> dict[str, Any]:
    """One row of a frame: a finished training whose figures follow from the topology and the number."""
    source = random.Random(number)
    skips = [skip.kind for block in topology.blocks for skip in block.skips]
    params = sum(9 * wire.input.width * wire.transformed.width for wire in topology.wiring.wires)
    learned = 0.3 * len(skips) - 0.2 * skips.count("mul") + 0.4 * math.log10(params) + source.gauss(0, 0.4)
    accuracy = round(1 - 0.14 * math.exp(-learned / 1.9), 4)
    share = [(1 - 0.75 * 0.45**epoch) / (1 - 0.75 * 0.45**8) for epoch in range(1, 9)]
    start = pd.Timestamp("2026-01-05 09:00:00") + pd.Timedelta(seconds=4 * number)
    row = {
        "trial": number,
        "state": "COMPLETE",
        "reason": None,
        "baseline": name,
        "key": topology.key,
        "line": topology.describe(),
        "accuracy": accuracy,
        "params": params,
        "memory": 24 * params + 3_000_000,
        "flops": 37 * params,
        "latency": None,
        "seconds": 2.0 + params / 40_000,
        "epochs": 8,
        "seed": number,
        "started": start,
        "ended": start + pd.Timedelta(seconds=4),
        "curve": [{"epoch": epoch, "accuracy": accuracy * part} for epoch, part in enumerate(share, 1)],
        "topology": topology.to_dict(),
        "proxies": None,
    }
    return row | changes


def failed(number: int, topology: Topology, reason: str, name: str | None = None) -> dict[str, Any]:
    cost = {"accuracy": None, "flops": None, "seconds": None, "curve": []}
    return trial(number, topology, name, state="FAIL", reason=reason, **cost)


def frame(trials: int = 44, seed: int = 0) -> pd.DataFrame:
    """Four baselines (one of which did not finish), then sampled candidates, six of them pruned or failed."""
    source, rows = random.Random(seed), []
    for name, skip in BASELINES.items():
        topology = chain([skip] * 12)
        rows.append(
            failed(len(rows), topology, "diverged", name) if name == "highway" else trial(len(rows), topology, name)
        )
    rows.append(trial(len(rows), WINNER, accuracy=0.9917))
    while len(rows) < trials:
        number, blocks = len(rows), source.choice([11, 12, 13])
        widths = source.choice([(16, 32, 64), (16, 32, 32), (8, 16, 32)])
        topology = chain([a_skip(source, block) for block in range(1, blocks + 1)], widths)
        if number % 13 == 7:
            rows.append(trial(number, topology, state="PRUNED", accuracy=0.61, epochs=2))
        elif number % 13 == 9:
            rows.append(failed(number, topology, "out of memory: it needs 3.2 GiB, but 2.0 GiB are free"))
        else:
            rows.append(trial(number, topology))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def repeated(noise: float = 0.004, seed: int = 0) -> pd.DataFrame:
    """The trials of `frame`, the seven best of which were evaluated two to four times more, with this noise."""
    first, source = frame(), random.Random(seed)
    done = first[first["state"] == "COMPLETE"].sort_values("accuracy", ascending=False)
    rows = []
    for place, row in enumerate(done.head(7).to_dict("records")):
        for again in range(4 - place // 3):
            accuracy = min(0.9999, row["accuracy"] - 0.002 + source.gauss(0, noise))
            number = len(first) + len(rows)
            topology = Topology.from_dict(row["topology"])
            rows.append(trial(number, topology, row["baseline"], accuracy=accuracy, seed=row["seed"] + again + 1))
    return pd.concat([first, pd.DataFrame(rows, columns=first.columns)], ignore_index=True)
