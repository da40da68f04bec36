"""The number of decisions that a mutation changes."""

import random

import numpy as np
import pytest

from nas.sampling.domain import mutation_count


def test_the_number_of_changes_is_geometric() -> None:
    """It is k with probability (2/3)·(1/3)^(k−1)."""
    rng = random.Random(0)
    counts = np.array([mutation_count(rng, 100) for _ in range(20_000)])
    for k in (1, 2, 3):
        assert (counts == k).mean() == pytest.approx(2 / 3 * (1 / 3) ** (k - 1), rel=0.1)


def test_there_are_no_more_changes_than_decisions() -> None:
    rng = random.Random(0)
    assert {mutation_count(rng, 2) for _ in range(200)} == {1, 2}
