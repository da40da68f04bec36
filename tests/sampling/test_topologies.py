"""The domain of a search space: its points are topologies."""

import math
import random

import numpy as np

from nas.sampling.topologies import Topologies
from nas.space import SearchSpace
from nas.topology import Topology
from nas.topology.paths import describe
from tests.helpers import scripted


def test_equal_topologies_are_one_point_with_equal_features() -> None:
    """An identity block may stand anywhere among blocks that change no shape."""
    domain = Topologies(SearchSpace.load("nas_bench_macro"), describe)
    rng = random.Random(0)
    base = dict(domain.mutant({}, rng).params)
    small, none = "mbconv(kernel=3, expansion=3)", "identity"
    one = domain.point(base | {"block04.op": small, "block05.op": none})
    other = domain.point(base | {"block04.op": none, "block05.op": small})
    assert one is not None and other is not None
    assert one.key == other.key
    assert one.features == other.features
    assert domain.point({"block01.op": none}) is None  # the space has eight blocks


def test_mutants_are_points_of_the_space() -> None:
    space = scripted.space(blocks=6)
    domain, rng = Topologies(space, describe), random.Random(0)
    point = domain.mutant({}, rng)
    for _ in range(50):
        before, point = point, domain.mutant(point.params, rng)
        assert point.params != before.params
        assert space.encode(space.sample(_Fixed(point.params)))


class _Fixed:
    def __init__(self, params: object) -> None:
        self.params = dict(params)  # type: ignore[call-overload]

    def suggest_categorical(self, name: str, choices: object) -> object:
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.params[name])


def test_features_have_one_scale() -> None:
    """A feature that does not vary, or is not finite, is left out."""
    space, rng = scripted.space(blocks=6), random.Random(0)

    def features(topology: Topology) -> dict[str, float]:
        skips = sum(bool(block.skips) for block in topology.blocks)
        return {"large": 1e6 * skips, "constant": 3.0, "unknown": math.nan}

    domain = Topologies(space, features)
    points = [domain.mutant({}, rng) for _ in range(40)]
    large = [point.features["feature large"] for point in points]
    assert 0.1 < np.std(np.array(large, dtype=float)) < 0.5
    assert not any(name in point.features for point in points for name in ("feature constant", "feature unknown"))
