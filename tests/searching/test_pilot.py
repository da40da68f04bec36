"""The pilot: uniformly drawn topologies from several seeds, as the first trials of a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from nas.searching.pilot import resolved
from nas.searching.session import Session
from nas.space import SearchSpace
from nas.space.settings import PilotSettings
from nas.study.attributes import recorded
from tests.helpers import scripted
from tests.helpers.sessions import drive, trials_of

Make = Callable[..., Session]


def space(**search: object) -> SearchSpace:
    return scripted.space(**{"blocks": 6, "pilot": {"topologies": 5, "seeds": 2}, "seed": 4} | search)


def test_the_first_trials_are_drawn_and_have_the_same_seeds(session: Make) -> None:
    made = session(space(baselines=["plain", "resnet"]), trials=14)
    done = drive(made)
    trials = trials_of(made)
    assert made.finished == 14
    pilot = [recorded(trial) for trial in trials if recorded(trial).get("pilot")]
    assert Counter(one["key"] for one in pilot) == dict.fromkeys({one["key"] for one in pilot}, 2)
    assert len(pilot) == 10
    assert Counter(one["seed"] for one in pilot) == {4: 5, 5: 5}
    named = Counter((one.baseline, one.seed) for one in done if one.baseline in ("plain", "resnet"))
    assert named == {("plain", 4): 1, ("plain", 5): 1, ("resnet", 4): 1, ("resnet", 5): 1}
    first = [recorded(trial) for trial in trials[:14]]
    assert all("pilot" in one or "baseline" in one for one in first)
    assert sum("pilot" not in recorded(one) and "baseline" not in recorded(one) for one in trials) == 4


def test_a_pilot_alone_ends_and_the_search_goes_on_from_it(session: Make) -> None:
    first = session(space(baselines=["plain"]), trials=16, only_pilot=True)
    drive(first, 7)
    again = session(resume=True, trials=16, only_pilot=True)
    assert not again.is_over
    drive(again)
    assert again.is_over
    assert again.finished == 10
    whole = session(resume=True, trials=16)
    drive(whole)
    assert whole.finished == 16
    keys = Counter(recorded(trial)["key"] for trial in trials_of(whole) if recorded(trial).get("pilot"))
    assert sorted(keys.values()) == [2] * 5


def test_a_search_that_has_begun_without_one_goes_on_without_one(session: Make) -> None:
    drive(session(scripted.space(blocks=6, repeats="auto"), trials=10))
    again = session(resume=True, trials=200)
    assert again.pilot.choose() is None
    drive(again, 3)
    assert not any("pilot" in recorded(trial) for trial in trials_of(again))


def test_what_is_over_the_limits_is_replaced(session: Make) -> None:
    data = space().to_dict() | {"limits": {"params": 1400}}
    made = session(SearchSpace.from_dict(data), trials=10)
    drive(made)
    trained = [t for t in trials_of(made) if recorded(t).get("pilot") and t.state.name == "COMPLETE"]
    assert len({recorded(trial)["key"] for trial in trained}) == 5
    assert len(trained) == 10


def test_a_space_that_is_too_small_has_a_smaller_pilot(session: Make) -> None:
    made = session(scripted.space(blocks=1, pilot={"topologies": 5, "seeds": 2}), trials=20)
    assert len(drive(made)) == 6


def test_limits_that_nothing_keeps_end_the_search(session: Make) -> None:
    made = session(SearchSpace.from_dict(space().to_dict() | {"limits": {"params": 10}}), trials=20)
    assert drive(made) == []


@pytest.mark.parametrize(
    ("search", "trials", "seeded", "expected"),
    [
        ({"repeats": "auto"}, 199, True, None),
        ({"repeats": "auto"}, 200, True, (10, 2)),
        ({"repeats": "auto"}, 4000, True, (20, 2)),
        ({"repeats": "auto"}, 4000, False, None),
        ({"repeats": 1}, 4000, True, None),
        ({"repeats": "auto", "pilot": None}, 4000, True, None),
        ({"repeats": 1, "pilot": {"topologies": 7, "seeds": 3}}, 30, False, (7, 3)),
    ],
)
def test_long_searches_begin_with_one(
    search: dict[str, object], trials: int, seeded: bool, expected: tuple[int, int] | None
) -> None:
    wanted = PilotSettings(topologies=expected[0], seeds=expected[1]) if expected else None
    assert resolved(scripted.space(**search), trials, seeded) == wanted
