"""Matched pairs: a share of the trials changes one block of a leader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from nas.analysis.effects import effects_of
from nas.analysis.factors import factors_of
from nas.searching.session import Session
from nas.study.attributes import KEY, PAIR, SEED, TOPOLOGY, recorded
from tests.helpers import scripted
from tests.helpers.sessions import drive, trials_of

Make = Callable[..., Session]


def test_a_share_of_the_trials_changes_one_block_of_a_leader(session: Make) -> None:
    made = session(scripted.space(blocks=6, pairs=0.25, seed=3), trials=60)
    drive(made)
    trials = trials_of(made)
    pairs = [trial for trial in trials if PAIR in recorded(trial)]
    assert len(trials) == 60
    assert 12 <= len(pairs) <= 15
    assert not any(PAIR in recorded(trial) for trial in trials[:8])
    best = sorted((recorded(trial)["metrics"]["accuracy"] for trial in trials), reverse=True)
    cells = Counter[str]()
    for trial in pairs:
        leader = trials[recorded(trial)[PAIR]["of"]]
        assert recorded(trial)[SEED] == recorded(leader)[SEED] == 3
        assert recorded(leader)["metrics"]["accuracy"] >= best[len(best) // 2]
        one, other = (factors_of(made.space, recorded(each)[TOPOLOGY]) for each in (trial, leader))
        assert one is not None and other is not None
        changed = [name for name in one.exact if one.exact[name] != other.exact[name]]
        assert len(changed) == 1
        assert "none" in (one.values[changed[0]], other.values[changed[0]])
        cells.update(changed)
    assert len(cells) >= 5  # over the blocks, where the least is known
    assert len({recorded(trial)[KEY] for trial in trials}) == 60
    assert effects_of(made.run).cells["pairs"].sum() >= len(pairs)


def test_a_resumed_search_keeps_to_the_share(session: Make) -> None:
    drive(session(scripted.space(blocks=6, pairs=0.25), trials=60), 30)
    again = session(resume=True, trials=60)
    drive(again)
    assert 12 <= sum(PAIR in recorded(trial) for trial in trials_of(again)) <= 16


def test_a_small_space_ends_without_changes_that_are_new(session: Make) -> None:
    made = session(scripted.space(blocks=2, pairs=1.0), trials=30)
    drive(made)
    assert len(trials_of(made)) == 9


@pytest.mark.parametrize("kinds", [["add", "gate"], ["none", "long", "concat"]])
def test_other_kinds_and_long_skips_are_changed_too(session: Make, kinds: list[str]) -> None:
    data = scripted.space(blocks=5, pairs=0.3).to_dict()
    data["skips"] |= {"kinds": kinds, "long": {"join": ["add", "concat"]}, "concat": {"growth": [0.5, 0.25]}}
    made = session(type(scripted.space()).from_dict(data), trials=30)
    drive(made)
    trials = trials_of(made)
    pairs = [trial for trial in trials if PAIR in recorded(trial)]
    assert len(pairs) >= 7
    for trial in pairs:
        one, other = (
            factors_of(made.space, recorded(each)[TOPOLOGY]) for each in (trial, trials[recorded(trial)[PAIR]["of"]])
        )
        assert one is not None and other is not None
        assert sum(one.exact.get(name) != other.exact.get(name) for name in one.exact | other.exact) == 1
