"""nas.sampling.domain: points of a study's parameters, and of a search space."""

import math
import random

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampling.domain import Columns, Parameters, Topologies
from nas.space import SearchSpace
from nas.topology import Topology
from nas.topology.paths import describe
from tests import scripted

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "op": CategoricalDistribution(["conv", "pool"]),
    "kernel": IntDistribution(1, 7, step=2),
    "bias": CategoricalDistribution([True, False]),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
}


def decided(rng: random.Random) -> dict[str, object]:
    """A kernel only of a conv, a bias only of a kernel larger than 1."""
    params: dict[str, object] = {"op": rng.choice(["conv", "pool"]), "lr": 10 ** rng.uniform(-4, -1)}
    if params["op"] == "conv":
        params["kernel"] = rng.choice([1, 3, 5, 7])
        if params["kernel"] != 1:
            params["bias"] = rng.choice([True, False])
    return params


@pytest.fixture
def parameters() -> Parameters:
    rng = random.Random(0)
    return Parameters.of(DISTRIBUTIONS, [decided(rng) for _ in range(60)])


def test_conditions_are_learned(parameters: Parameters) -> None:
    assert parameters.conditions["kernel"] == ("op", {"pool"})
    parent, without = parameters.conditions["bias"]
    assert (parent, without) == ("kernel", {1})
    assert set(parameters.conditions) == {"kernel", "bias"}


def test_whatever_is_proposed_could_have_been_decided(parameters: Parameters) -> None:
    rng, params = random.Random(1), dict[str, object]()
    for _ in range(300):
        params = dict(parameters.mutant(params, rng).params)
        assert ("kernel" in params) == (params["op"] == "conv")
        assert ("bias" in params) == (params.get("kernel", 1) != 1)
        for name, value in params.items():
            assert DISTRIBUTIONS[name]._contains(DISTRIBUTIONS[name].to_internal_repr(value))
        assert parameters.point(params) is not None


def test_a_point_that_lacks_a_parameter_is_none(parameters: Parameters) -> None:
    assert parameters.point({"op": "conv", "lr": 0.01}) is None
    assert parameters.point({"op": "pool", "lr": 0.01, "kernel": 3}) is None


def test_few_points_are_all_there_each_once() -> None:
    few = {name: DISTRIBUTIONS[name] for name in ("op", "kernel", "bias")}
    rng = random.Random(0)
    seen = [{name: value for name, value in decided(rng).items() if name in few} for _ in range(60)]
    points = list(Parameters.of(few, seen).everything())
    assert len({point.key for point in points}) == len(points) == 1 + 1 + 3 * 2  # pool; kernel 1; 3 kernels × bias


def test_what_is_continuous_is_not_enumerated(parameters: Parameters) -> None:
    assert not list(parameters.everything())


def test_rows_measure_how_far_points_are_apart() -> None:
    """Two words are at distance 1, inactive is a word; numbers are apart by their share of the range."""
    columns = Columns()
    few = Parameters({"op": DISTRIBUTIONS["op"], "lr": DISTRIBUTIONS["lr"]}, {"lr": ("op", frozenset({"pool"}))})
    params = [{"op": "conv", "lr": 1e-4}, {"op": "conv", "lr": 1e-1}, {"op": "pool"}, {"op": "conv", "lr": 1e-4}]
    points = [few._point(each) for each in params]
    columns.learn(points)
    first, *others = columns.rows(points)
    group = columns.group
    apart = [[((first - other)[group == g] ** 2).sum() for g in (0, 1)] for other in others]
    np.testing.assert_allclose(apart[0], [0, 1])
    np.testing.assert_allclose(apart[1][0], 1)
    assert apart[1][1] > 0
    np.testing.assert_allclose(apart[2], 0)


def test_equal_topologies_are_one_point_and_look_the_same() -> None:
    """An identity block anywhere among blocks that change no shape."""
    domain = Topologies(SearchSpace.load("nas_bench_macro"), describe)
    rng = random.Random(0)
    base = dict(domain.mutant({}, rng).params)
    small, none = "mbconv(kernel=3, expansion=3)", "identity"
    one = domain.point(base | {"block04.op": small, "block05.op": none})
    other = domain.point(base | {"block04.op": none, "block05.op": small})
    assert one is not None and other is not None
    assert one.key == other.key
    assert one.seen == other.seen
    assert domain.point({"block01.op": none}) is None  # of eight


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


def test_features_are_seen_on_one_scale() -> None:
    """What does not vary, or is not finite, is not seen."""
    space, rng = scripted.space(blocks=6), random.Random(0)

    def features(topology: Topology) -> dict[str, float]:
        skips = sum(block.skip is not None for block in topology.blocks)
        return {"large": 1e6 * skips, "constant": 3.0, "unknown": math.nan}

    domain = Topologies(space, features)
    points = [domain.mutant({}, rng) for _ in range(40)]
    seen = [point.seen["feature large"] for point in points]
    assert 0.1 < np.std(np.array(seen, dtype=float)) < 0.5
    assert not any(name in point.seen for point in points for name in ("feature constant", "feature unknown"))
