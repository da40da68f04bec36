"""The networks that are compared: what searches found, and what they are to be compared with."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nas
from nas.analysis import leaderboard
from nas.cost import measure, predict
from nas.space import SearchSpace
from nas.study import Run
from nas.tasks.recipe import Recipe
from nas.topology import Topology

BEHIND = 2  # networks behind the recommended one
SMALLEST, LARGEST, STEPS = 0.25, 4.0, 12  # of the factor of all widths, and halvings of the interval between them


@dataclass(frozen=True)
class Contestant:
    """A network that is trained again.

    name      what it is
    topology  the network
    searched  its validation metric in the search in which it was found; None where it was in none
    """

    name: str
    topology: Topology
    searched: float | None = None


def searched(space: SearchSpace, root: Path, trials: int) -> dict[str, Run]:
    """Search the space, and its two controls, and return the runs: those under `root` that are there go on.

    search    as the space says
    random    as many uniformly drawn topologies
    restarts  as many uniformly drawn chains (depths, widths and all else) with `add` around every block
    """
    data = space.to_dict()
    drawn = {"sampler": "random", "repeats": 1, "baselines": []}
    only_add = {"skips": data["skips"] | {"kinds": ["add"]}}
    spaces = {
        "search": space,
        "random": SearchSpace.from_dict(data | {"search": data["search"] | drawn}),
        "restarts": SearchSpace.from_dict(data | only_add | {"search": data["search"] | drawn}),
    }
    return {name: _searched(name, one, root, trials) for name, one in spaces.items()}


def _searched(name: str, space: SearchSpace, root: Path, trials: int) -> Run:
    """Return the run once all its trials are finished. Raises KeyboardInterrupt if it was interrupted."""
    if (root / name / "run.yaml").exists():
        run = nas.search(resume=name, root=root, trials=trials)
    else:
        run = nas.search(space, name=name, root=root, trials=trials)
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def contestants(runs: dict[str, Run]) -> list[Contestant]:
    """Return the networks to compare, the recommended one first; one with several roles occurs once, with all names."""
    found: dict[str, Contestant] = {}
    for one in _contestants(runs):
        known = found.get(one.topology.key)
        found[one.topology.key] = replace(known, name=f"{known.name} = {one.name}") if known else one
    return list(found.values())


def _contestants(runs: dict[str, Run]) -> Iterator[Contestant]:
    run = runs["search"]
    space, board = run.space, leaderboard(run)
    metric = space.task.metric
    values = dict(zip(board["key"], board[metric], strict=True))
    top = board[board["state"] == "COMPLETE"].head(1 + BEHIND)
    for place, row in enumerate(top.to_dict("records")):
        name = "recommended" if place == 0 else f"place {place + 1}"
        yield Contestant(name, run.topology(row["trial"]), row[metric])
    recommended = run.topology(int(top["trial"].iloc[0]))
    for kind, words in (("add", "its chain, every skip add"), ("none", "its chain, no skips")):
        yield Contestant(words, space.uniform(recommended, kind))
    price = functools.partial(predict, recipe=space.recipe)
    for name, topology in space.baselines(price=price).items():
        yield Contestant(name, topology, values.get(topology.key))
    for name, words in (("random", "best of random topologies"), ("restarts", "best of random chains, all add")):
        best = leaderboard(runs[name]).iloc[0]
        yield Contestant(words, runs[name].topology(int(best["trial"])), best[metric])


def resized(topology: Topology, params: int, recipe: Recipe) -> Topology:
    """Return the topology with all widths multiplied by one factor, the largest with at most so many parameters.

    Widths stay multiples of four, so that heads and groups divide them.
    """
    low, high = SMALLEST, LARGEST
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        fits = measure(_widened(topology, middle), recipe).params <= params
        low, high = (middle, high) if fits else (low, middle)
    return _widened(topology, low)


def _widened(topology: Topology, factor: float) -> Topology:
    data = topology.to_dict()
    for part in (data["stem"], *data["blocks"]):
        if part.get("width") is not None:
            part["width"] = max(4, 4 * round(part["width"] * factor / 4))
    return Topology.from_dict(data)
