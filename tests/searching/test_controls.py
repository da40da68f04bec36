"""Controls: the winner's own chain with other skips, and baselines with as many results as the winner."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study.attributes import recorded
from nas.topology import Topology
from tests.helpers import scripted
from tests.helpers.sessions import trained, trials_of
from tests.helpers.topologies import kind_of

Make = Callable[..., Session]


def space(**search: Any) -> SearchSpace:
    """Two to five blocks, so that the chain of a topology is seldom that of the baselines."""
    data = scripted.space(**{"baselines": ["plain", "resnet"], "objectives": ["accuracy"]} | search).to_dict()
    data["network"]["stages"][0]["blocks"] = [2, 4, 5]
    return SearchSpace.from_dict(data)


def winning(topology: Topology) -> bool:
    """Return whether it is the planted best: four blocks, the first without a skip, the others with concat."""
    return [kind_of(block) for block in topology.blocks] == ["none", "concat", "concat", "concat"]


def searched(made: Session, count: int = 10**6) -> list[FrozenTrial]:
    """Train up to `count` candidates, of which the planted one is the best whatever the seed; return the trials."""
    while count and (candidate := made.ask()) is not None:
        count -= 1
        accuracy = 0.5 + scripted.accuracy(candidate.topology) / 10 + candidate.seed % 3 / 1000
        accuracy += 0.3 * winning(candidate.topology)
        made.tell(candidate, trained(candidate, curve=[{"epoch": 2, "accuracy": accuracy}]))
    return trials_of(made)


def enqueued(made: Session) -> Topology:
    """Enqueue the planted topology, which is trained next, and return it."""
    winner = next(topology for topology in made.space.enumerate() if winning(topology))
    made.run.study.enqueue_trial(made.space.encode(winner))
    made.waiting.last_poll = -math.inf
    return winner


def seeds_by_name(trials: list[FrozenTrial]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for trial in trials:
        if name := recorded(trial).get("baseline"):
            found[name].append(recorded(trial)["seed"])
    return dict(found)


def test_the_chain_of_the_winner_is_trained_with_add_and_with_no_skips(session: Make) -> None:
    made = session(space(sampler="exhaustive"), trials=400)
    trials = searched(made)
    winner = made.run.winner
    assert winner is not None
    assert winning(made.run.topology(winner))
    counted = [trial for trial in trials if "baseline" not in recorded(trial)]
    assert len(counted) == 3**2 + 3**4 + 3**5 - 2  # all points, of which two are baselines
    # both chains were trained among the trials, so that there is nothing left to train
    assert seeds_by_name(trials) == {"plain": [0], "resnet": [0]}
    assert made.is_over


def test_controls_come_after_the_trials_and_do_not_count(session: Make) -> None:
    made = session(space(), trials=12)
    enqueued(made)
    trials = searched(made)
    assert len([trial for trial in trials if "baseline" not in recorded(trial)]) == 12
    number = made.run.winner
    names = seeds_by_name(trials)
    own = {name: topology for name, topology in _named(trials).items() if name.startswith(f"trial {number}: ")}
    assert list(names)[:2] == ["plain", "resnet"]
    assert {name.removeprefix(f"trial {number}: ") for name in own} == {"every skip add", "no skips"}
    for name, topology in own.items():
        kind = "add" if name.endswith("add") else "none"
        assert [kind_of(block) for block in topology.blocks] == [kind] * 4
    assert [recorded(trial).get("baseline") for trial in trials[-2:]] == list(own)
    again = session(resume=True, trials=12)
    assert again.is_over
    assert again.ask() is None


def test_the_best_baseline_and_the_own_chains_have_the_seeds_of_the_winner(session: Make) -> None:
    made = session(space(repeats=3, seed=7), trials=14)
    winner = enqueued(made)
    trials = searched(made, 17)
    made.close()
    again = session(resume=True, trials=14)
    assert not again.is_over
    trials = searched(again)
    assert again.is_over
    number = again.run.winner
    assert [recorded(trial)["seed"] for trial in trials if recorded(trial)["key"] == winner.key] == [7, 8, 9]
    seeds = seeds_by_name(trials)
    assert seeds[f"trial {number}: every skip add"] == seeds[f"trial {number}: no skips"] == [7, 8, 9]
    assert sorted(map(len, (seeds["plain"], seeds["resnet"]))) == [1, 3]
    assert len([trial for trial in trials if "baseline" not in recorded(trial)]) == 14


@pytest.mark.parametrize("baselines", [[], ["resnet"]])
def test_a_search_without_baselines_has_no_controls(session: Make, baselines: list[str]) -> None:
    trials = searched(session(space(baselines=baselines), trials=4))
    assert len(trials) == (4 if not baselines else 4 + len(seeds_by_name(trials)))
    assert bool(seeds_by_name(trials)) == bool(baselines)


def _named(trials: list[FrozenTrial]) -> dict[str, Topology]:
    attributes = [recorded(trial) for trial in trials if "baseline" in recorded(trial)]
    return {one["baseline"]: Topology.from_dict(one["topology"]) for one in attributes}
