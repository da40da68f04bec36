"""The prefilter and the proxies of proposals, without Ray."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nas.errors import SpaceError
from nas.sampling.features import most_promising
from nas.sampling.named import make_sampler
from nas.searching.outcome import TrialOutcome
from nas.searching.proposals import Proposer
from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study import Run
from nas.topology import Topology
from nas.topology.paths import describe
from tests.helpers import scripted


def proposer(space: SearchSpace) -> Proposer:
    return Proposer(space, make_sampler(space, 0), scripted.price, [], 0)


def paths(topology: Topology) -> float:
    return describe(topology)["log_paths"]


def test_of_several_proposals_the_best_is_trained() -> None:
    space = scripted.space(8, prefilter={"proxy": "log_paths", "sample": 20})
    chosen, any_one = proposer(space), proposer(scripted.space(8))
    best = [paths(chosen.propose().topology) for _ in range(10)]  # type: ignore[union-attr]
    others = [paths(any_one.propose().topology) for _ in range(10)]  # type: ignore[union-attr]
    assert min(best) >= 7 > sum(others) / 10
    assert chosen.propose().proxies == {"log_paths": 7.0}  # type: ignore[union-attr]
    assert len(chosen.known_keys) == 11


@pytest.mark.parametrize(("name", "blocks"), [("random", 3), ("tpe", 2), ("topology", 2)])
def test_candidates_that_the_prefilter_passes_over_are_proposed_later(name: str, blocks: int) -> None:
    """Every topology of the space is proposed once, and no more are proposed."""
    made = proposer(scripted.space(blocks, prefilter="short_paths", sampler=name))
    keys = []
    while (candidate := made.propose()) is not None:
        keys.append(candidate.topology.key)
        made.tell(candidate, TrialState.COMPLETE, [0.5, 1.0])
    assert len(keys) == len(set(keys)) == 3**blocks
    assert {trial.state.name for trial in made.sampler_study.study.trials} <= {"COMPLETE", "FAIL"}


def test_a_prefilter_does_not_hide_refusals() -> None:
    space = scripted.space(3, prefilter="log_paths")
    limited = SearchSpace.from_dict(space.to_dict() | {"limits": {"params": 1200}})
    made = proposer(limited)
    candidates = list(iter(made.propose, None))
    refused = [one for one in candidates if one.refusal is not None]
    assert len(candidates) == 27
    assert {one.topology.key for one in refused} == {
        topology.key for topology in space.enumerate() if scripted.price(topology)["params"] > 1200
    }
    assert all(not one.proxies for one in refused)


def test_the_study_has_the_proxies_of_trained_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def proxies(topology: Topology, names: Iterable[str], recipe: object) -> dict[str, float]:
        return {name: math.nan if name == "jacobian" else paths(topology) for name in names}

    monkeypatch.setattr("nas.cost.proxies.compute_proxies", proxies)
    space = scripted.space(
        proxies=["naswot", "jacobian"], prefilter={"proxy": "synflow", "sample": 2}, baselines="plain"
    )
    run = Run.create(space, "run", tmp_path)
    session = Session(run, scripted.price, 5)
    while (candidate := session.ask()) is not None:
        session.tell(candidate, TrialOutcome([{"epoch": 1, "accuracy": 0.5}], full_budget=True))
    session.close()
    assert len(run.study.trials) == 6  # the baseline does not count
    for number, said in enumerate(run.frame()["proxies"]):
        value = paths(run.topology(number))
        assert said == {"naswot": value, "jacobian": None, "synflow": value}


def test_a_proxy_that_is_not_a_number_is_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([math.nan, -5.0, -math.inf])
    monkeypatch.setattr("nas.cost.proxies.compute_proxies", lambda topology, names, recipe: {"naswot": next(values)})
    space = scripted.space(prefilter="naswot")
    assert most_promising(space, [next(space.enumerate())] * 3) == 1
    assert most_promising(scripted.space(), [next(space.enumerate())] * 3) == 0


def test_an_exhaustive_search_has_no_prefilter() -> None:
    with pytest.raises(SpaceError, match=r"search.prefilter: must be left out if the sampler is exhaustive"):
        scripted.space(sampler="exhaustive", prefilter="naswot")
    with pytest.raises(SpaceError, match="naswot"):
        scripted.space(prefilter="nastwo")


def test_a_space_may_ask_for_every_proxy_there_is() -> None:
    from typing import get_args

    from nas.cost.proxies import PROXIES
    from nas.space.settings import Proxy

    assert set(get_args(Proxy)) == set(PROXIES)
