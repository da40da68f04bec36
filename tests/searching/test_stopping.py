"""Early stopping: the rule of nas.searching.stopping against its definition, and against ASHA itself."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial
from ray.tune.schedulers import ASHAScheduler

from nas.searching.candidate import Candidate
from nas.searching.stopping import FairASHA, NeverStops, scheduler
from nas.space import SearchSpace
from nas.study.attributes import CURVE, PREDICTED
from tests.helpers import scripted

ANY = next(scripted.space().enumerate())
EPOCHS = 9


def ignore(controller: Any, trial: Any) -> None:
    """Take a trial of Tune."""


def space(objectives: Sequence[str] = ("accuracy", "params"), **rule: Any) -> SearchSpace:
    return scripted.space(objectives=list(objectives), early_stopping={"rule": "asha"} | rule)


def trained(rule: Any, curves: Sequence[Sequence[Any]]) -> list[int]:
    """Train candidates one after the other and return the epochs of each; a curve is the metric of every epoch."""
    ended = []
    for number, curve in enumerate(curves):
        trial = SimpleNamespace(trial_id=str(number))
        rule.on_trial_add(None, trial)
        for epoch, accuracy in enumerate(curve, 1):
            if rule.on_trial_result(None, trial, {"epoch": epoch, "accuracy": accuracy}) == "STOP":
                break
        ended.append(epoch)
    return ended


def fair(costs: Sequence[Mapping[str, int]], space: SearchSpace, baselines: Sequence[int] = ()) -> FairASHA:
    candidates = {
        str(number): Candidate(ANY, 0, cost, baseline="plain" if number in baselines else None)
        for number, cost in enumerate(costs)
    }
    rule = scheduler(space, candidates.__getitem__, ignore)
    assert isinstance(rule, FairASHA)
    return rule


def params(*sizes: int) -> list[dict[str, int]]:
    return [{"params": size, "memory": 7, "flops": 7} for size in sizes]


def test_a_dominated_candidate_is_stopped_and_a_small_one_is_not() -> None:
    curves = [[0.9] * 4, [0.8] * 4, [0.2] * 4, [0.2] * 4, [0.1] * 4]
    rule = fair(params(1000, 1000, 2000, 500, 700), space())
    assert trained(rule, curves) == [4, 1, 1, 4, 1]


def test_every_cost_can_spare_a_candidate() -> None:
    costs = [{"params": 1000, "memory": 1000, "flops": 9}, {"params": 3000, "memory": 100, "flops": 9}]
    curves = [[0.9] * 4, [0.2] * 4]
    assert trained(fair(costs, space(["accuracy", "params", "memory"])), curves) == [4, 4]
    assert trained(fair(costs, space(["accuracy", "params", "flops", "seconds"])), curves) == [4, 1]


@pytest.mark.parametrize("objectives", [["accuracy"], ["accuracy", "seconds"]])
def test_without_costs_among_the_objectives_it_is_asha(objectives: list[str]) -> None:
    topologies = list(scripted.space().enumerate())
    curves = [
        [record["accuracy"] for record in scripted.Scripted(device="cpu", threads=1, epochs=EPOCHS).start(one, seed=0)]
        for one in topologies
    ]
    asha = ASHAScheduler("epoch", metric="accuracy", mode="max", max_t=10**6, grace_period=1, reduction_factor=3)
    expected = trained(asha, curves)
    assert trained(fair([scripted.price(one) for one in topologies], space(objectives)), curves) == expected
    assert set(expected) == {1, 3, EPOCHS}


def test_the_rule_against_its_definition() -> None:
    rng = random.Random(3)
    costs = [{"params": rng.randint(100, 999), "memory": rng.randint(100, 999)} for _ in range(200)]
    curves = [[rng.randint(0, 100) / 100 for _ in range(EPOCHS)] for _ in costs]
    settings = space(["accuracy", "params", "memory"], grace=2, reduction=2)
    rungs: dict[int, list[int]] = {2: [], 4: [], 8: []}
    expected = []
    for number, curve in enumerate(curves):
        end = EPOCHS
        for epoch, before in rungs.items():
            metrics = [curves[other][epoch - 1] for other in before]
            lags = bool(before) and curve[epoch - 1] < np.percentile(metrics, 50)
            losses = [(-curves[one][epoch - 1], *costs[one].values()) for one in (*before, number)]
            beaten = any(
                other != losses[-1] and all(a <= b for a, b in zip(other, losses[-1], strict=True)) for other in losses
            )
            before.append(number)
            if lags and beaten:
                end = epoch
                break
        expected.append(end)
    assert trained(fair(costs, settings), curves) == expected
    assert min(expected.count(end) for end in (2, 4, EPOCHS)) > 5


def test_baselines_are_trained_to_the_end() -> None:
    curves = [[0.9] * 4, [0.1] * 4, [0.1] * 4]
    assert trained(fair(params(100, 900, 900), space(), baselines=[1]), curves) == [4, 4, 1]


@pytest.mark.parametrize("broken", [None, float("nan"), "high"])
def test_a_metric_that_is_no_number_stops_no_trial(broken: Any) -> None:
    curves = [[0.9] * 4, [broken] * 4, [0.1] * 4]
    rule = fair(params(100, 900, 900), space())
    assert trained(rule, curves) == [4, 4, 1]
    rule.on_trial_complete(None, SimpleNamespace(trial_id="1"), {"epoch": 5, "accuracy": broken})  # type: ignore[arg-type]


def test_earlier_sessions_count() -> None:
    curve = [{"epoch": epoch, "accuracy": 0.9} for epoch in (1, 2)]
    known = {CURVE: curve, PREDICTED: params(100)[0]}
    past = [create_trial(state=TrialState.PRUNED, user_attrs=known), create_trial(state=TrialState.WAITING)]
    rule = scheduler(space(), {"0": Candidate(ANY, 0, params(900)[0])}.__getitem__, ignore, past)
    assert trained(rule, [[0.5] * 4]) == [1]


def test_without_a_rule_no_trial_is_stopped() -> None:
    rule = scheduler(space(rule="none"), {}.__getitem__, ignore)
    assert isinstance(rule, NeverStops)


def test_a_training_that_starts_again_counts_once() -> None:
    """Two trials of Tune evaluate one candidate; the second begins after the first epoch."""
    candidate = Candidate(ANY, 0, params(100)[0])
    rule = scheduler(space(), {"0": candidate, "1": candidate}.__getitem__, ignore)
    assert isinstance(rule, FairASHA)
    assert trained(rule, [[0.5]]) == [1]
    again = SimpleNamespace(trial_id="1")
    rule.on_trial_add(None, again)
    for epoch in (1, 2, 3):
        assert rule.on_trial_result(None, again, {"epoch": epoch, "accuracy": 0.5}) == "CONTINUE"
    assert [list(recorded) for _, recorded in rule._brackets[0]._rungs if recorded] == [
        [f"candidate {candidate.serial}"]
    ] * 2


def test_every_trial_is_reported() -> None:
    added: list[Any] = []
    for rule in ({"rule": "none"}, {}):
        made = scheduler(space(**rule), {"0": Candidate(ANY, 0)}.__getitem__, lambda *given: added.append(given))
        trial: Any = SimpleNamespace(trial_id="0")
        made.on_trial_add("controller", trial)  # type: ignore[arg-type]
        assert added.pop() == ("controller", trial)


def test_a_training_that_goes_on_counts_as_one_that_was_never_interrupted() -> None:
    """… if the process of the search is another as well: its scheduler has not seen the first epochs."""

    def rungs(before: int) -> list[list[float]]:
        candidate = Candidate(ANY, 0, params(100)[0], trained=[result(epoch) for epoch in range(1, before + 1)])
        rule, trial = scheduler(space(), {"0": candidate}.__getitem__, ignore), SimpleNamespace(trial_id="0")
        assert isinstance(rule, FairASHA)
        rule.on_trial_add(None, trial)
        for epoch in range(before + 1, EPOCHS + 1):
            rule.on_trial_result(None, trial, result(epoch))
        return [list(recorded.values()) for _, recorded in rule._brackets[0]._rungs if recorded]

    def result(epoch: int) -> dict[str, float]:
        return {"epoch": epoch, "accuracy": epoch / 10}

    assert rungs(0) == rungs(1) == rungs(4) == [[0.9], [0.3], [0.1]]
