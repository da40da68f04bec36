"""The user attributes of a trial, and what follows from them."""

from __future__ import annotations

import math

from optuna.trial import TrialState, create_trial

from nas.space import OBJECTIVES, Objective
from nas.study import attributes as names
from nas.study.attributes import elementwise_mean, is_feasible, value_of, violations, was_trained, winner_rank
from tests.helpers import scripted


def test_what_counts_was_trained() -> None:
    assert was_trained(create_trial(values=[1.0, 1.0], user_attrs={names.CURVE: []}))
    assert was_trained(create_trial(state=TrialState.FAIL, user_attrs={names.CURVE: []}))
    assert not was_trained(create_trial(state=TrialState.FAIL, user_attrs={names.REASON: "over the limits: params"}))
    assert not was_trained(create_trial(state=TrialState.RUNNING, user_attrs={names.CURVE: []}))


def test_a_value_is_where_its_objective_is_recorded() -> None:
    params, latency, hits = OBJECTIVES["params"], OBJECTIVES["latency"], Objective("hits", "maximize")
    attributes = {
        names.PREDICTED: {"params": 10, "memory": 5, "latency": 1},
        names.METRICS: {"hits": 3, "params": 99},
        names.MEASURED: {"latency": 0.5, "hits": 4, "memory": 6},
    }
    assert value_of(params, attributes) == 10
    assert value_of(OBJECTIVES["memory"], attributes) == 5  # what a GPU measured is another number
    assert value_of(latency, attributes) == 0.5
    assert value_of(hits, attributes) == 3
    for damaged in (
        {},
        {names.METRICS: None},
        {names.METRICS: {"hits": "3"}},
        {names.METRICS: {"hits": True}},
        {names.METRICS: {"hits": 10**400}},
    ):
        assert math.isnan(value_of(hits, damaged))


def test_a_violation_is_a_fraction_of_the_bound() -> None:
    hits = {"name": "hits", "direction": "maximize"}
    space = scripted.space(objectives=["accuracy", hits], constraints={"hits": 20, "params": 100, "latency": "5ms"})
    attributes = {names.PREDICTED: {"params": 150}, names.METRICS: {"hits": 30, "accuracy": 0.5}}
    assert violations(space.goals, attributes) == {"hits": -0.5, "params": 0.5}
    assert not is_feasible(space, attributes)
    assert winner_rank(space, attributes) == (1.0, -0.5, 150)
    assert is_feasible(space, {names.METRICS: {"hits": 20}})
    assert is_feasible(space, {})


def test_a_single_tuple_is_its_own_mean() -> None:
    assert elementwise_mean([(0.1, 3.0)]) == (0.1, 3.0)
    assert elementwise_mean([(0.0, 3.0), (1.0, 5.0)]) == (0.5, 4.0)
