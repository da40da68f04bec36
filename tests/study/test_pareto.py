"""Non-domination against brute force."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.study.pareto import distances_to_ideal, hypervolume, pareto_front, pareto_rank

NUMBERS = st.one_of(st.integers(-4, 4).map(float), st.sampled_from([math.inf, -math.inf, math.nan]))


def by_definition(rows: list[list[float]], directions: list[str]) -> list[int]:
    """Remove one front after the other, comparing every pair of points."""
    signed = [[v if d == "minimize" else -v for v, d in zip(row, directions, strict=True)] for row in rows]

    def dominates(a: list[float], b: list[float]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))

    ranks = [0] * len(rows)
    left = [i for i, row in enumerate(signed) if not any(map(math.isnan, row))]
    front = 0
    while left:
        front += 1
        members = [i for i in left if not any(dominates(signed[j], signed[i]) for j in left)]
        for i in members:
            ranks[i] = front
        left = [i for i in left if i not in members]
    return ranks


@given(st.data())
def test_rank_is_the_definition(data: st.DataObject) -> None:
    """With `fronts`, the ranks are right as far as they are asked for."""
    directions = data.draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=1, max_size=4))
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=len(directions), max_size=len(directions)), max_size=16))
    ranks = by_definition(rows, directions)
    assert pareto_rank(rows, directions).tolist() == ranks
    assert pareto_rank(rows, directions, fronts=2).tolist() == [min(rank, 3) for rank in ranks]


def test_a_point_with_an_unknown_value_has_rank_0() -> None:
    ranks = pareto_rank([[0.9, 10], [math.nan, 1], [0.8, 20]], ["maximize", "minimize"])
    assert ranks.tolist() == [1, 0, 2]


def test_equal_points_share_a_front() -> None:
    assert pareto_rank([[1, 1], [1, 1], [2, 2]], ["minimize", "minimize"]).tolist() == [1, 1, 2]


@pytest.mark.parametrize("values", [[[1.0, 2.0, 3.0]], [1.0, 2.0, 3.0], [[[1.0, 2.0]]]])
def test_values_must_fit_directions(values: object) -> None:
    with pytest.raises(ValueError, match="must hold"):
        pareto_rank(values, ["minimize", "minimize"])  # type: ignore[arg-type]


def test_directions_are_words() -> None:
    with pytest.raises(ValueError, match="maximize, minimize"):
        pareto_rank([[1.0]], ["up"])


def test_ten_thousand_points_take_seconds_at_most() -> None:
    points = np.random.default_rng(0).normal(size=(10_000, 3))
    start = time.perf_counter()
    assert pareto_rank(points, ["minimize"] * 3).min() == 1
    assert time.perf_counter() - start < 5


def test_front_is_a_staircase() -> None:
    x, y = [3.0, 1.0, 2.0, 2.5], [0.9, 0.5, 0.7, 0.6]
    assert pareto_front(x, y, ["minimize", "maximize"]).tolist() == [1, 2, 0]


def test_the_knee_is_nearest_to_the_best_of_every_objective() -> None:
    front = [[0.99, 1000.0], [0.97, 300.0], [0.60, 100.0]]
    distances = distances_to_ideal(front, ["maximize", "minimize"])
    assert distances == pytest.approx([1.0, math.hypot(0.02 / 0.39, 200 / 900), 1.0])
    assert distances_to_ideal([[0.5, 3.0]], ["maximize", "minimize"]).tolist() == [0.0]
    assert distances_to_ideal([], ["maximize"]).tolist() == []
    assert distances_to_ideal([[0.5, 3.0], [0.4, 3.0]], ["maximize", "minimize"]).tolist() == [0.0, 1.0]


def test_the_hypervolume_against_counting_cells() -> None:
    rng = np.random.default_rng(7)
    for case in range(300):
        m, n = 2 + case % 3, int(rng.integers(0, 12))
        points = rng.integers(0, 6, size=(n, m)).astype(float)  # ties and duplicates
        points[rng.random((n, m)) < 0.03] = np.nan
        cells = np.stack(np.meshgrid(*[np.arange(5)] * m, indexing="ij"), -1).reshape(-1, m)  # up to the reference, 5
        counted = sum(any((point <= cell).all() for point in points) for cell in cells)
        assert hypervolume(points, np.full(m, 5.0)) == counted
    assert hypervolume([[0.25], [0.5]], [1.0]) == 0.75
