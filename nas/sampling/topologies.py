"""The domain of a search space: its points are topologies, described by the features of their blocks."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from nas.sampling.domain import mutation_count
from nas.space import SearchSpace
from nas.surrogate.features import block_features
from nas.surrogate.points import Point
from nas.topology import Topology

FeatureFunction = Callable[[Topology], Mapping[str, float | None]]
SCALING_SAMPLES = 50  # random topologies that give the mean and standard deviation of a feature


class Topologies:
    """The domain of a search space. The key of a point is the canonical key of its topology.

    Two sets of parameters that give the same topology, or topologies that compute the same functions, are one point.
    The features of a point are those of its blocks (`block_features`) and the numbers that `features` returns, named
    "feature <name>". A number is scaled to

        0.5 + clip((value − mean) / (4 · standard deviation), −1, 1)

    with the statistics of SCALING_SAMPLES random topologies. It is left out where it is missing or not finite, and
    everywhere if it has the same value for all these topologies.

    space     the search space
    features  topology → numbers by name, None for a missing one
    """

    fresh = 30

    def __init__(self, space: SearchSpace, features: FeatureFunction) -> None:
        self.space, self._features = space, features
        rng = random.Random(0)
        drawn = [features(space.sample(GuidedTrial({}, rng))) for _ in range(SCALING_SAMPLES)]
        self._scales = dict(_scales(drawn))

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """Return the point with these parameters; None if the space does not ask for exactly these parameters."""
        trial = GuidedTrial(params, random.Random(0))
        topology = self.space.sample(trial)
        return self._point(topology, trial.params) if trial.params == dict(params) else None

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        """Return a mutated copy of `params` with `mutation_count` changed decisions; a random point if it is empty.

        The parameters that a changed decision adds are drawn uniformly.
        """
        changed = set(rng.sample(sorted(params), mutation_count(rng, len(params)))) if params else set[str]()
        trial = GuidedTrial(params, rng, changed)
        topology = self.space.sample(trial)
        return self._point(topology, trial.params)

    def everything(self) -> Iterator[Point]:
        """Return an empty iterator: one topology takes as long to make as a hundred points of `Parameters`."""
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
    """A trial for `SearchSpace.sample` that takes given decisions and draws all others uniformly. It has no study.

    given    parameters whose values are taken where the space allows them
    rng      the generator that draws all other decisions
    changed  parameters of `given` that must have another value, if the space allows one
    params   the parameters of the trial, after the space was sampled
    """

    def __init__(self, given: Mapping[str, Any], rng: random.Random, changed: Collection[str] = ()) -> None:
        self.given, self.rng, self.changed = given, rng, changed
        self.params: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the given choice, or one that is drawn."""
        return self._decide(name, choices)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return the given whole number, or one that is drawn, low <= n <= high."""
        return int(self._decide(name, range(low, high + 1)))

    def _decide(self, name: str, values: Sequence[Any]) -> Any:
        old = self.given.get(name)
        if name not in self.params:
            if name in self.given and old in values and name not in self.changed:
                self.params[name] = old
            else:
                others = [value for value in values if name not in self.given or value != old]
                self.params[name] = self.rng.choice(others or list(values))
        return self.params[name]
