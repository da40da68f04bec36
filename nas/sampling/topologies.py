"""The domain of a search space: its points are topologies, and so are their features."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from nas.sampling.points import Point, mutation_count
from nas.space import SearchSpace
from nas.topology import Topology
from nas.topology.block import options_of

FeatureFunction = Callable[[Topology], Mapping[str, float | None]]
DRAWN = 50  # random topologies that give the statistics of a feature


class Topologies:
    """The domain of a search space. Equal topologies are one point, however they are written.

    features  topology → numbers that are features besides those of its blocks; a number that is missing or not finite
              is left out. Each is scaled to 0.5 ± (value − mean) / (4 · standard deviation), within 0.5 ± 1, with
              the statistics of DRAWN random topologies.
    """

    fresh = 30

    def __init__(self, space: SearchSpace, features: FeatureFunction) -> None:
        self.space, self._features = space, features
        rng = random.Random(0)
        drawn = [features(space.sample(GuidedTrial({}, rng))) for _ in range(DRAWN)]
        self._scales = dict(_scales(drawn))

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """Return the point with these parameters; None where there is none."""
        trial = GuidedTrial(params, random.Random(0))
        topology = self.space.sample(trial)
        return self._point(topology, trial.params) if trial.params == dict(params) else None

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        """Return a mutated copy of `params`, or a random point if `params` is empty."""
        changed = set(rng.sample(sorted(params), mutation_count(rng, len(params)))) if params else set[str]()
        trial = GuidedTrial(params, rng, changed)
        topology = self.space.sample(trial)
        return self._point(topology, trial.params)

    def everything(self) -> Iterator[Point]:
        """Return an empty iterator: to make a topology costs as much as a hundred other points."""
        return iter(())

    def _point(self, topology: Topology, params: Mapping[str, Any]) -> Point:
        features = block_features(topology)
        for name, value in self._features(topology).items():
            if name in self._scales and value is not None and math.isfinite(value):
                centre, spread = self._scales[name]
                features[f"feature {name}"] = 0.5 + min(1.0, max(-1.0, (value - centre) / (4 * spread)))
        return Point(params, topology.key, features)


def _scales(drawn: Sequence[Mapping[str, float | None]]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the name, and the mean and standard deviation, of every feature that varies."""
    for name in drawn[0]:
        values = [value for each in drawn if (value := each.get(name)) is not None and math.isfinite(value)]
        if len(values) > 1 and (spread := statistics.pstdev(values)) > 0:
            yield name, (statistics.fmean(values), spread)


class GuidedTrial:
    """A trial for `SearchSpace.sample` that takes known decisions and draws all others uniformly.

    known    parameters whose values are taken where they are allowed
    rng      the source of all other decisions
    changed  parameters of `known` that get another value
    params   the parameters of the trial, after the space was sampled
    """

    def __init__(self, known: Mapping[str, Any], rng: random.Random, changed: Collection[str] = ()) -> None:
        self.known, self.rng, self.changed = known, rng, changed
        self.params: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the decision among the choices."""
        return self._decide(name, choices)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return the decided whole number, low <= n <= high."""
        return int(self._decide(name, range(low, high + 1)))

    def _decide(self, name: str, values: Sequence[Any]) -> Any:
        old = self.known.get(name)
        if name not in self.params:
            if old in values and name not in self.changed:
                self.params[name] = old
            else:
                others = [value for value in values if value != old]
                self.params[name] = self.rng.choice(others or list(values))
        return self.params[name]


def block_features(topology: Topology) -> dict[str, str | float]:
    """Return the features of a topology: the op, width, skip and source of every block, and counts of ops and skips.

    They are those of its canonical form. A block is named by its stage (a run of blocks between two changes of
    resolution) and its number in the stage, so that a missing block changes no feature of other stages.
    """
    plain = topology.canonical()
    features: dict[str, str | float] = {"stem": f"{plain.stem.op} {plain.stem.width}", "head": plain.head.op}
    counts: Counter[str] = Counter()
    stage = place = 0
    for block, wire in zip(plain.blocks, plain.wiring.wires, strict=True):
        stage, place = (stage + 1, 1) if wire.input.size != wire.output.size else (stage, place + 1)
        op = " ".join([block.op, *(f"{name}={value}" for name, value in sorted(options_of(block).items()))])
        kind = "none" if block.skip is None else block.skip.kind
        source = None if block.skip is None else block.skip.source
        at = f"stage {stage} block {place}"
        features |= {f"{at} op": op, f"{at} width": str(block.width), f"{at} skip": kind, f"{at} source": str(source)}
        features[f"stage {stage} blocks"] = place / 8
        counts.update([f"op {op}", f"skip {kind}", f"skip {'short' if source is None else 'long'}"])
    return features | {counted: 2 * count / len(plain.blocks) for counted, count in counts.items()}
