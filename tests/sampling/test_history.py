"""The finished trials of a study as observations."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from nas.sampling.history import CURVE, KNOWN, LARGE, UNTRIED, History, Observation
from nas.space import SearchSpace
from nas.topology.paths import describe

X = {"x": IntDistribution(0, 99)}


def add(study: optuna.Study, x: int, **fields: object) -> None:
    """Add a trial with one parameter to the study."""
    study.add_trial(create_trial(params={"x": x}, distributions=X, **fields))  # type: ignore[arg-type]


def read(study: optuna.Study) -> list[Observation]:
    """Return the observations of the study by a new history."""
    history = History(study, None, describe)
    history.read(study, {})
    return list(history)


def test_every_objective_is_maximised() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    add(study, 1, values=[0.5, 3.0])
    add(study, 2, values=[math.inf, math.inf])
    first, second = read(study)
    assert first.values.tolist() == [0.5, -3.0]
    assert second.values.tolist() == [LARGE, -LARGE]
    assert first.whole and first.succeeded and first.feasible


def test_a_failed_trial_has_no_values() -> None:
    """A trial that was never evaluated tells nothing about success."""
    study = optuna.create_study()
    add(study, 1, state=TrialState.FAIL)
    add(study, 2, state=TrialState.FAIL, user_attrs={UNTRIED: True})
    failed, untried = read(study)
    assert np.isnan(failed.values).all()
    assert failed.succeeded is False
    assert untried.succeeded is None


def test_a_constraint_is_violated_by_a_positive_value() -> None:
    study = optuna.create_study()
    add(study, 1, value=1.0, constraints={"size": 0.0})
    add(study, 2, value=1.0, constraints={"size": 0.1})
    assert [observation.feasible for observation in read(study)] == [True, False]


def test_a_pruned_trial_has_the_objectives_that_are_known() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    curve = {"objective": 0, "values": {"1": 0.2, "2": 0.3}}
    add(study, 1, state=TrialState.PRUNED, user_attrs={CURVE: curve, KNOWN: [None, 7.0]})
    (observation,) = read(study)
    assert not observation.whole and observation.succeeded
    assert np.isnan(observation.values[0]) and observation.values[1] == -7.0
    assert dict(observation.curve) == {1: 0.2, 2: 0.3}


def test_a_pruned_trial_keeps_its_rank() -> None:
    """Its final value is interpolated between those of the trials that had similar values at its last step."""
    study = optuna.create_study(direction="minimize")
    for x, (early, final) in enumerate([(4.0, 40.0), (3.0, 30.0), (2.0, 20.0)]):
        add(study, x, value=final, intermediate_values={1: early, 2: final})
    add(study, 9, state=TrialState.PRUNED, intermediate_values={1: 2.5})
    history = History(study, None, describe)
    history.read(study, {})
    *_, stopped = history.complete()
    assert stopped.point.params == {"x": 9}
    assert stopped.values.tolist() == [-25.0]


def test_a_few_curves_predict_nothing() -> None:
    study = optuna.create_study(direction="minimize")
    for x in range(2):
        add(study, x, value=1.0 + x, intermediate_values={1: 2.0 + x})
    add(study, 9, state=TrialState.PRUNED, intermediate_values={1: 2.5})
    history = History(study, None, describe)
    history.read(study, {})
    assert len(history) == 3
    assert len(history.complete()) == 2


def test_running_trials_are_points_as_they_were_proposed() -> None:
    """A study may not hold all the parameters of a running trial yet."""
    study = optuna.create_study()
    history = History(study, None, describe)
    assert history.read(study, {}) == []  # there is no domain without parameters
    add(study, 1, value=1.0)
    number = study.ask().number
    assert [point.params for point in history.read(study, {number: {"x": 5}})] == [{"x": 5}]
    assert history.read(study, {}) == []


def test_new_trials_are_added_to_those_before() -> None:
    study = optuna.create_study()
    history = History(study, None, describe)
    for count in range(1, 4):
        add(study, count, value=float(count))
        history.read(study, {})
        assert [observation.point.params["x"] for observation in history] == list(range(1, count + 1))
    assert history.is_of(study)
    assert not history.is_of(optuna.create_study())


def test_the_point_of_a_running_trial_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace.from_dict(SPACE)
    study = optuna.create_study()
    history, made = History(study, space, describe), []
    assert history.domain is not None
    point = history.domain.point
    monkeypatch.setattr(history.domain, "point", lambda params: made.append(params) or point(params))
    trials = [study.ask() for _ in range(3)]
    proposed = {}
    for trial in trials:
        space.sample(trial)
        proposed[trial.number] = dict(trial.params)
    first = history.read(study, proposed)
    assert len(first) == 3 and history.read(study, {}) == first and len(made) == 3
    study.tell(trials[1].number, 1.0)
    assert history.read(study, {}) == [first[0], first[2]] and len(made) == 3
    [observed] = history
    assert observed.point is first[1]
    other = {**proposed, 0: proposed[2]}  # other parameters are another point
    assert history.read(study, other)[0].key == first[2].key and len(made) == 4


SPACE = {
    "task": "digits",
    "network": {"stem": {"op": "conv3x3", "width": 4}, "stages": [{"blocks": 8, "op": "basic"}], "head": "classify"},
    "skips": {"kinds": ["none", "add", "gate"]},
}
