"""Leaders against brute force."""

from __future__ import annotations

import random
from dataclasses import replace

from nas.study.leaders import Leaders, TopologyScores, TrialScore
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


def score(number: int, accuracy: float, params: int, feasible: bool = True) -> TrialScore:
    costs = (float(params),)
    return TrialScore(number, {}, str(number), (-accuracy, *costs), (0.0, -accuracy, *costs), feasible, costs)


def test_rivals_are_all_and_those_that_cost_no_more_than_one_of_the_front() -> None:
    scores = TopologyScores([score(0, 0.8, 10), score(1, 0.9, 20), score(2, 0.7, 15), score(3, 0.85, 30)])
    assert scores.rivals.tolist() == [[True] * 4, [True, False, False, False], [True, True, True, False]]
    scores.add(score(4, 0.99, 5, feasible=False))
    assert not scores.rivals[:, 4].any()


def test_with_one_objective_all_that_keep_to_the_constraints_are_rivals() -> None:
    alone = [replace(score(number, 0.8, 1, number != 1), costs=()) for number in range(3)]
    assert TopologyScores(alone).rivals.tolist() == [[True, False, True]]
    assert TopologyScores([replace(one, feasible=False) for one in alone]).rivals.tolist() == [[True] * 3]


def test_a_long_front_has_few_sets_of_rivals() -> None:
    scores = TopologyScores(score(number, 0.5 + number / 100, number) for number in range(40))
    assert scores.rivals.shape == (13, 40)
    assert scores.rivals[1:].sum(1).tolist() == sorted(scores.rivals[1:].sum(1), reverse=True)
    assert scores.rivals[:2].all()


def test_what_is_expected_decides_who_is_on_the_front() -> None:
    lucky = [score(0, 0.93, 10)]
    good = [replace(score(1 + n, accuracy, 11), key="good") for n, accuracy in enumerate((0.91, 0.93, 0.92))]
    others = [score(4 + n, 0.9 + 0.002 * n, 40 + n) for n in range(6)]
    scores = TopologyScores([*lucky, *good, *others])
    beliefs = dict(zip((same[0].number for same in scores.groups), scores.expected.mean, strict=True))
    front = scores.leaders.front.members.keys()
    for number, same in ((same[0].number, same) for same in scores.groups):
        beaten = any(
            other[0].costs <= same[0].costs and beliefs[other[0].number] > beliefs[number] for other in scores.groups
        )
        assert (number in front) == (not beaten)
