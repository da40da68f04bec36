"""Acquisition functions agree with brute force."""

import numpy as np
import pytest

from nas.sampling.acquisition import boxes, expected_hypervolume_improvement, expected_improvement, spread_out
from nas.study.pareto import pareto_rank

RNG = np.random.default_rng(0)


def test_expected_improvement_is_the_mean_improvement() -> None:
    drawn = RNG.normal(0.3, 0.7, 10**6)
    found = expected_improvement(np.array([0.3]), np.array([0.7]), 0.5)
    assert found[0] == pytest.approx(np.maximum(0, drawn - 0.5).mean(), rel=0.01)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_boxes_fill_the_region_that_no_point_dominates(objectives: int) -> None:
    """A random point is in exactly one box if no point of the front dominates it, and otherwise in none."""
    front, reference = RNG.random((8, objectives)), np.full(objectives, 0.1)
    lower, upper = boxes(front[pareto_rank(front, ["maximize"] * objectives) == 1], reference)
    drawn = RNG.uniform(0, 1.2, (3000, objectives))
    inside = ((drawn[:, None] >= lower) & (drawn[:, None] < upper)).all(2).sum(1)
    dominated = (front[:, None] > drawn).all(2).any(0)
    above = (drawn >= reference).all(1)
    assert (inside == (above & ~dominated)).all()


@pytest.mark.parametrize("objectives", [2, 3])
def test_expected_hypervolume_improvement_is_the_mean_improvement(objectives: int) -> None:
    front = RNG.random((5, objectives))
    front = front[pareto_rank(front, ["maximize"] * objectives) == 1]
    reference, mean, deviation = np.zeros(objectives), np.full((1, objectives), 0.7), np.full((1, objectives), 0.2)
    found = expected_hypervolume_improvement(mean, deviation, front, reference)[0]
    drawn = RNG.normal(mean, deviation, (400, objectives))
    volume = RNG.uniform(0, 1.6, (20_000, objectives))
    free = volume[~(front[:, None] > volume).all(2).any(0)]
    improvement = np.mean([(free < point).all(1).sum() for point in drawn]) / len(volume) * 1.6**objectives
    assert found == pytest.approx(improvement, rel=0.15)


def test_a_thinned_front_keeps_its_ends_and_leaves_no_gap() -> None:
    front = np.column_stack([np.linspace(0, 1, 101), np.linspace(1, 0, 101)])
    thin = spread_out(front, 11)
    assert len(thin) == 11
    assert {0.0, 1.0} <= set(thin[:, 0])
    assert np.diff(np.sort(thin[:, 0])).max() <= 0.2
