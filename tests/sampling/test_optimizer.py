"""The optimizer with replicates: their mean is one observation, and what is expected of a front counts, not luck."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from nas.sampling import optimizer
from nas.sampling.history import Observation
from nas.sampling.optimizer import Optimizer
from nas.surrogate.points import Point

LAYERS = {f"layer{i}": CategoricalDistribution(list("abc")) for i in range(3)}


def observation(key: str, whole: bool = True) -> Observation:
    return Observation(Point({}, key, {}), np.zeros(2), {}, 0, whole, True, {}, True)


def test_replicates_are_one_observation_with_their_mean_and_noise() -> None:
    complete = [observation(key) for key in ("a", "b", "a", "c", "a")]
    scores = np.array([[1.0, 5.0], [4.0, 6.0], [2.0, 5.0], [0.0, 7.0], [3.0, 5.0]])
    pooled, means, noise = optimizer._pooled(complete, scores)
    assert [one.point.key for one in pooled] == ["a", "b", "c"]
    np.testing.assert_allclose(means, [[2, 5], [4, 6], [0, 7]])
    assert noise[0, 0] == pytest.approx(noise[1, 0] / 3)  # of the mean of three values
    assert 0.6 < noise[1, 0] < 1.2  # the variance of 1, 2, 3 is 1
    assert not noise[:, 1].any()  # equal values


def test_without_replicates_nothing_is_pooled() -> None:
    complete, scores = [observation("a"), observation("b")], np.array([[1.0, 2.0], [3.0, 4.0]])
    pooled, means, noise = optimizer._pooled(complete, scores)
    assert pooled == complete
    np.testing.assert_array_equal(means, scores)
    assert not noise.any()


def test_a_replicate_that_was_stopped_early_counts_only_without_others() -> None:
    complete = [observation("a"), observation("a", whole=False), observation("b", whole=False)]
    _, means, _ = optimizer._pooled(complete, np.array([[1.0], [9.0], [4.0]]))
    np.testing.assert_allclose(means, [[1], [4]])


@pytest.mark.parametrize("replicates", [0, 3])
def test_the_incumbents_of_replicates_are_posterior_means(monkeypatch: pytest.MonkeyPatch, replicates: int) -> None:
    """Of two noisy objectives the front is made of what is expected; without replicates, of what was observed."""
    study = optuna.create_study(directions=["maximize", "maximize"])
    rng, chance = random.Random(0), np.random.default_rng(0)
    drawn = [{name: rng.choice("abc") for name in LAYERS} for _ in range(12)]
    different = list({tuple(params.values()): params for params in drawn}.values())
    for params in different + different[:1] * replicates:
        values = [float(sum(map(ord, params.values())) % 7 + chance.normal()) for _ in range(2)]
        study.add_trial(create_trial(params=params, distributions=LAYERS, values=values))
    seen = []
    improvement = optimizer._improvement

    def noted(posteriors: list, known: np.ndarray, reached: np.ndarray) -> Callable[[Any], np.ndarray]:
        seen.append((np.stack([each.mean(known) for each in posteriors], axis=1), reached.copy()))
        return improvement(posteriors, known, reached)

    monkeypatch.setattr(optimizer, "_improvement", noted)
    Optimizer(study, None, lambda topology: {}, random.Random(0)).propose(study, {})
    [(means, reached)] = seen
    assert len(reached) == len(different)
    assert np.allclose(means, reached) == (replicates > 0)


@pytest.mark.parametrize("directions", [["maximize"], ["maximize", "minimize"]])
@pytest.mark.parametrize(("running", "models"), [(2, 12), (2 * optimizer.AHEAD, 4)])
def test_where_many_trials_run_some_proposals_are_made_ahead(
    monkeypatch: pytest.MonkeyPatch, directions: list[str], running: int, models: int
) -> None:
    """Twelve proposals, each of which runs, are different points; three at a time come from the same models."""
    layers = {f"layer{i}": CategoricalDistribution(list("abc")) for i in range(6)}
    study, rng = optuna.create_study(directions=directions), random.Random(0)
    for number in range(20 + running):
        params = {name: rng.choice("abc") for name in layers}
        values = [float(sum(map(ord, params.values())) % 7)] * len(directions)
        ended = {"values": values} if number < 20 else {"state": TrialState.RUNNING}
        study.add_trial(create_trial(params=params, distributions=layers, **ended))  # type: ignore[arg-type]
    calls: list[int] = []
    most_promising = Optimizer._most_promising
    monkeypatch.setattr(Optimizer, "_most_promising", lambda *given: calls.append(1) or most_promising(*given))
    proposer, proposed = Optimizer(study, None, lambda topology: {}, random.Random(0)), []
    for _ in range(12):
        proposed.append(dict(proposer.propose(study, {})))
        trial = create_trial(params=proposed[-1], distributions=layers, state=TrialState.RUNNING)
        study.add_trial(trial)
        oldest = next(each for each in study.get_trials() if each.state == TrialState.RUNNING)
        study.tell(oldest.number, [float(oldest.number % 5)] * len(directions))
    assert len(calls) == models
    assert len({tuple(sorted(params.items())) for params in proposed}) == 12
