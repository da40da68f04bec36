"""The domain of a study's parameters: distributions and conditions are learned from trials."""

import random
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampling.parameters import Parameters

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "op": CategoricalDistribution(["conv", "pool"]),
    "kernel": IntDistribution(1, 7, step=2),
    "bias": CategoricalDistribution([True, False]),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
}


def decided(rng: random.Random) -> dict[str, object]:
    """Return random parameters: a conv alone has a kernel, and a kernel larger than 1 alone has a bias."""
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


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether the distribution has the value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if isinstance(distribution, IntDistribution):
        return value in range(distribution.low, distribution.high + 1, distribution.step)
    assert isinstance(distribution, FloatDistribution)
    return distribution.low <= value <= distribution.high


def test_conditions_are_learned(parameters: Parameters) -> None:
    assert parameters.conditions["kernel"] == ("op", {"pool"})
    parent, without = parameters.conditions["bias"]
    assert (parent, without) == ("kernel", {1})
    assert set(parameters.conditions) == {"kernel", "bias"}


def test_every_mutant_is_a_point_of_the_domain(parameters: Parameters) -> None:
    rng, params = random.Random(1), dict[str, object]()
    for _ in range(300):
        params = dict(parameters.mutant(params, rng).params)
        assert ("kernel" in params) == (params["op"] == "conv")
        assert ("bias" in params) == (params.get("kernel", 1) != 1)
        for name, value in params.items():
            assert holds(DISTRIBUTIONS[name], value)
        assert parameters.point(params) is not None


def test_parameters_that_break_a_condition_are_no_point(parameters: Parameters) -> None:
    assert parameters.point({"op": "conv", "lr": 0.01}) is None
    assert parameters.point({"op": "pool", "lr": 0.01, "kernel": 3}) is None


def test_a_small_domain_is_enumerated_without_repeats() -> None:
    few = {name: DISTRIBUTIONS[name] for name in ("op", "kernel", "bias")}
    rng = random.Random(0)
    trials = [{name: value for name, value in decided(rng).items() if name in few} for _ in range(60)]
    points = list(Parameters.of(few, trials).everything())
    assert len({point.key for point in points}) == len(points) == 1 + 1 + 3 * 2  # pool; kernel 1; 3 kernels × bias


def test_a_continuous_domain_is_not_enumerated(parameters: Parameters) -> None:
    assert not list(parameters.everything())
