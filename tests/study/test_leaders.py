"""Leaders against brute force."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from nas.study.leaders import GROWTH, Leaders, TopologyScores, TrialScore
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
    assert scores.standing.rivals.tolist() == [[True] * 4, [True, False, False, False], [True, True, True, False]]
    scores.add(score(4, 0.99, 5, feasible=False))
    assert not scores.settled.rivals[:, 4].any()


def test_with_one_objective_all_that_keep_to_the_constraints_are_rivals() -> None:
    alone = [replace(score(number, 0.8, 1, number != 1), costs=()) for number in range(3)]
    assert TopologyScores(alone).standing.rivals.tolist() == [[True, False, True]]
    assert TopologyScores([replace(one, feasible=False) for one in alone]).standing.rivals.tolist() == [[True] * 3]


def test_a_long_front_has_few_sets_of_rivals() -> None:
    standing = TopologyScores(score(number, 0.5 + number / 100, number) for number in range(40)).standing
    assert standing.rivals.shape == (13, 40)
    assert standing.rivals[1:].sum(1).tolist() == sorted(standing.rivals[1:].sum(1), reverse=True)
    assert standing.rivals[:2].all()


def test_what_is_expected_decides_who_is_on_the_front() -> None:
    lucky = [score(0, 0.93, 10)]
    good = [replace(score(1 + n, accuracy, 11), key="good") for n, accuracy in enumerate((0.91, 0.93, 0.92))]
    others = [score(4 + n, 0.9 + 0.002 * n, 40 + n) for n in range(6)]
    standing = TopologyScores([*lucky, *good, *others]).standing
    beliefs = dict(zip((same[0].number for same in standing.groups), standing.expected.mean, strict=True))
    front = standing.leaders.front.members.keys()
    for number, same in ((same[0].number, same) for same in standing.groups):
        beaten = any(
            other[0].costs <= same[0].costs and beliefs[other[0].number] > beliefs[number] for other in standing.groups
        )
        assert (number in front) == (not beaten)


def test_a_trial_that_leads_is_known_at_once_where_nothing_is_noise() -> None:
    rng, scores, added = random.Random(1), TopologyScores(), []
    for number in range(300):
        new = score(number, rng.randrange(100) / 100, rng.randrange(100), rng.random() < 0.8)
        added.append(new)
        leads = scores.add(new)
        assert leads == (number in TopologyScores(added).standing.leaders.numbers)
    assert scores.settled.leaders.numbers == TopologyScores(added).standing.leaders.numbers


def noisy(count: int) -> list[TrialScore]:
    """Scores of which every second repeats an earlier topology, with noise of a standard deviation of 0.02."""
    rng, made = random.Random(2), []
    true = [rng.random() for _ in range(count)]
    for number in range(count):
        of = rng.randrange(number) if number % 2 else number
        made.append(replace(score(number, true[of] + rng.gauss(0, 0.02), 50 * of % 97), key=str(of)))
    return made


def test_the_leaders_of_noisy_scores_were_kept_when_they_came() -> None:
    scores, kept = TopologyScores(), set()
    for new in noisy(200):
        if scores.add(new):
            kept.add(new.number)
        kept &= scores.numbers  # the weights of others are deleted
    firsts = {first.key for first in scores.settled.leading}
    assert firsts <= {new.key for new in noisy(200) if new.number in kept}


def test_scores_are_compared_once_they_have_grown_by_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = TopologyScores._compare
    monkeypatch.setattr(TopologyScores, "_compare", lambda self: (compared.append(self._count), compare(self)))
    scores = TopologyScores()
    for new in noisy(400):
        scores.add(new)
    assert len(compared) < 100
    assert all(after >= GROWTH * before for before, after in itertools.pairwise(compared[1:]))
    assert scores.settled.groups == TopologyScores(noisy(400)).standing.groups
