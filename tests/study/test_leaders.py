"""Leaders against brute force."""

from __future__ import annotations

import random

from nas.study.leaders import Leaders
from nas.study.pareto import dominates


def test_leaders_against_brute_force() -> None:
    rng = random.Random(0)
    points = [(rng.randrange(6), rng.randrange(6), rng.randrange(6)) for _ in range(200)]
    leaders = Leaders()
    for number, point in enumerate(points):
        leaders.add(number, point, (point[0], 0.0))
        seen = points[: number + 1]
        front = {n for n, p in enumerate(seen) if not any(dominates(q, p) for q in seen)}
        best = min(range(number + 1), key=lambda n: (seen[n][0], n))
        assert leaders.numbers == front | {best}
