"""The networks that are compared: what searches found, and what they are to be compared with."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nas
from nas.analysis import leaderboard
from nas.cost import measure, predict
from nas.files import write_whole
from nas.space import SearchSpace
from nas.study import Run
from nas.tasks.recipe import Recipe
from nas.topology import Topology

CONTROLS = {"random": "best of random topologies", "restarts": "best of random chains, all add"}
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


def contestants(space: SearchSpace, root: Path, records: Path, trials: int) -> list[Contestant]:
    """Return the networks to compare, the recommended one first; one with several roles occurs once, with all names.

    root     folder of the searches, which go on where they were cut off
    records  folder of `networks.json`, which keeps what each search brought: one that it names is not run again
    trials   trainings of each search; it ends the program if the records are of searches with another number
    """
    path = records / "networks.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"trials": trials}
    if kept["trials"] != trials:
        sys.exit(f"{path} is of searches of {kept['trials']} trials: give another folder with --records")
    for name, one in _searches(space).items():
        if name not in kept:
            run = _searched(name, one, root, trials)
            kept[name] = [_to_dict(each) for each in (_of_search(run) if name == "search" else _of_control(run, name))]
            write_whole(path, json.dumps(kept, indent=1))
    return _merged(_from_dict(each) for name in _searches(space) for each in kept[name])


def _merged(found: Iterable[Contestant]) -> list[Contestant]:
    merged: dict[str, Contestant] = {}
    for one in found:
        known = merged.get(one.topology.key)
        merged[one.topology.key] = replace(known, name=f"{known.name} = {one.name}") if known else one
    return list(merged.values())


def _searches(space: SearchSpace) -> dict[str, SearchSpace]:
    """Return the space that is searched, and those of its two controls.

    search    as the space says
    random    as many uniformly drawn topologies
    restarts  as many uniformly drawn chains (depths, widths and all else) with `add` around every block
    """
    data = space.to_dict()
    drawn = {"sampler": "random", "repeats": 1, "baselines": []}
    only_add = {"skips": data["skips"] | {"kinds": ["add"]}}
    return {
        "search": space,
        "random": SearchSpace.from_dict(data | {"search": data["search"] | drawn}),
        "restarts": SearchSpace.from_dict(data | only_add | {"search": data["search"] | drawn}),
    }


def _searched(name: str, space: SearchSpace, root: Path, trials: int) -> Run:
    """Return the run once all its trials are finished. Raises KeyboardInterrupt if it was interrupted."""
    if (root / name / "run.yaml").exists():
        run = nas.search(resume=name, root=root, trials=trials)
    else:
        run = nas.search(space, name=name, root=root, trials=trials)
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def _of_search(run: Run) -> Iterator[Contestant]:
    """Yield the recommended network, those behind it, its own chain without its skips, and the baselines."""
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


def _of_control(run: Run, name: str) -> Iterator[Contestant]:
    """Yield the best network of a control."""
    best = leaderboard(run).iloc[0]
    yield Contestant(CONTROLS[name], run.topology(int(best["trial"])), best[run.space.task.metric])


def _to_dict(one: Contestant) -> dict[str, Any]:
    return {"name": one.name, "topology": one.topology.to_dict(), "searched": one.searched}


def _from_dict(data: dict[str, Any]) -> Contestant:
    return Contestant(data["name"], Topology.from_dict(data["topology"]), data["searched"])


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
