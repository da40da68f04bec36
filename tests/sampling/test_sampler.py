"""TopologySampler in Optuna studies of every kind."""

import itertools
import math
import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from nas.sampling import history
from nas.sampling.sampler import TopologySampler
from tests.helpers import scripted

LETTERS = "abcde"


def layers(trial: optuna.Trial, count: int = 6) -> list[int]:
    return [LETTERS.index(trial.suggest_categorical(f"layer{i}", list(LETTERS))) for i in range(count)]


def separable(trial: optuna.Trial) -> float:
    """Return the value of one of 15,625 points; the single best one has 0."""
    wanted = [3, 1, 4, 1, 0, 2]
    chosen = layers(trial)
    return -sum(abs(a - b) ** 1.5 for a, b in zip(chosen, wanted, strict=True)) - (chosen[0] == chosen[5])


def conditional(trial: optuna.Trial) -> float:
    """Return a value of numbers and categories, whose number depends on a depth; the best is 0."""
    depth = trial.suggest_int("depth", 1, 6)
    loss = abs(depth - 5) * 0.5
    for block in range(depth):
        kind = trial.suggest_categorical(f"kind{block}", ["conv", "pool", "none"])
        loss += {"conv": 0.0, "pool": 0.4, "none": 0.6}[kind]
        if kind == "conv":
            loss += 0.1 * abs(trial.suggest_int(f"kernel{block}", 1, 7, step=2) - 5)
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    return -loss - 0.5 * abs(math.log10(rate) + 2) - (trial.suggest_float("drop", 0, 1) - 0.3) ** 2


def huge(trial: optuna.Trial) -> float:
    """Return the value of one of 4^20 = 10^12 points; the best is 0."""
    chosen = [trial.suggest_int(f"x{i}", 0, 3) for i in range(20)]
    wrong = [value != (i * 7 % 4) for i, value in enumerate(chosen)]
    return -sum(wrong) - 0.5 * sum(a and b for a, b in itertools.pairwise(wrong))


def best_of(
    sampler: BaseSampler, objective: Callable[[optuna.Trial], float], trials: int, broken: float = 0.0
) -> float:
    """Return the best value of a search in which a share `broken` of the trials fail at random."""
    rng = random.Random(0)

    def failing(trial: optuna.Trial) -> float:
        value = objective(trial)
        if rng.random() < broken:
            raise ZeroDivisionError
        return value

    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(failing, trials, catch=ZeroDivisionError)
    return study.best_value


@pytest.mark.parametrize(
    ("objective", "trials", "broken"),
    [(separable, 60, 0.0), (separable, 60, 0.3), (conditional, 60, 0.0), (conditional, 60, 0.3), (huge, 100, 0.0)],
    ids=["categories", "categories, 30 % failed", "conditions", "conditions, 30 % failed", "10^12 points"],
)
def test_it_is_ahead_of_tpe_and_random_search(
    objective: Callable[[optuna.Trial], float], trials: int, broken: float
) -> None:
    """Its mean regret over three seeds is at most two thirds of that of the better of the two."""

    def regret(make: Callable[[int], BaseSampler]) -> float:
        return -float(np.mean([best_of(make(seed), objective, trials, broken) for seed in range(3)]))

    ours = regret(lambda seed: TopologySampler(seed=seed))
    tpe = regret(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True))
    assert ours <= 2 / 3 * min(tpe, regret(lambda seed: RandomSampler(seed=seed)))


def hypervolume(values: Sequence[Sequence[float]]) -> float:
    """Return the hypervolume of three minimised objectives below (1, 1, 1): the share of a grid that is dominated."""
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 21)] * 3), -1).reshape(-1, 1, 3)
    return float((np.asarray(values) <= grid).all(2).any(1).mean())


def test_three_objectives() -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float, float]:
        x = np.array(layers(trial)) / 4
        return float(np.mean((x - 0.2) ** 2)), float(np.mean((x[:3] - 0.9) ** 2)), float(np.abs(x[3:] - 0.5).mean())

    def reached(sampler: BaseSampler) -> float:
        study = optuna.create_study(directions=["minimize"] * 3, sampler=sampler)
        study.optimize(objective, 50)
        return hypervolume([trial.values for trial in study.trials])

    ours, chance = reached(TopologySampler(seed=0)), reached(RandomSampler(seed=0))
    assert ours > chance + 0.05


def test_no_point_is_tried_twice_until_all_were() -> None:
    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(lambda trial: float(sum(trial.suggest_categorical(f"x{i}", [0, 1, 2]) for i in range(3))), 40)
    tried = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(tried[:27])) == 27
    assert len(tried) == 40  # after all were tried, the study continues


def test_running_points_are_not_proposed_again() -> None:
    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(separable, 12)
    for trial in [study.ask() for _ in range(32)]:
        layers(trial)
    tried = {tuple(trial.params.values()) for trial in study.trials}
    assert len(tried) == 44


def test_a_batch_is_diverse() -> None:
    """Thirty-two proposals made at once differ more than neighbours do, and about as much as random points."""
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(separable, 20)
    batch = np.array([layers(study.ask()) for _ in range(32)])
    apart = (batch[:, None] != batch).sum(2)[np.triu_indices(32, 1)]
    assert apart.mean() > 2


@pytest.mark.parametrize("objective", [separable, conditional, huge])
def test_a_seed_gives_the_same_search(objective: Callable[[optuna.Trial], float]) -> None:
    def searched(seed: int) -> list[dict[str, Any]]:
        study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=seed))
        study.optimize(objective, 12)
        return [trial.params for trial in study.trials]

    assert searched(0) == searched(0) != searched(1)


def test_another_process_continues_a_study(tmp_path: Any) -> None:
    """A sampler that was pickled, or is new, reads the trials of the storage."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(direction="maximize", storage=storage, study_name="s", sampler=TopologySampler(seed=0))
    study.optimize(separable, 10)
    for sampler in (pickle.loads(pickle.dumps(study.sampler)), TopologySampler(seed=1)):  # noqa: S301  # our own
        optuna.load_study(study_name="s", storage=storage, sampler=sampler).optimize(separable, 5)
    tried = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(tried)) == len(tried) == 20


def test_threads_share_a_sampler() -> None:
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(separable, 24, n_jobs=4)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 24


def test_enqueued_parameters_are_kept() -> None:
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.enqueue_trial({f"layer{i}": "c" for i in range(6)})
    study.optimize(separable, 3)
    assert set(study.trials[0].params.values()) == {"c"}


@pytest.mark.parametrize("how", ["constraints_func", "set_constraint"])
def test_most_proposals_are_feasible(how: str) -> None:
    """The best point without the constraint violates it by far."""

    def size(params: Any) -> float:
        return float(sum(LETTERS.index(value) for value in params.values()))

    def objective(trial: optuna.Trial) -> float:
        value = float(sum(layers(trial)))
        if how == "set_constraint":
            trial.set_constraint("size", value - 12)
        return value

    func = (lambda trial: [size(trial.params) - 12]) if how == "constraints_func" else None
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0, constraints_func=func))
    study.optimize(objective, 40)
    late = [trial.values[0] for trial in study.trials[20:]]
    assert max(value for trial in study.trials if (value := trial.values[0]) <= 12) == 12
    assert sum(value <= 12 for value in late) >= 12


def test_a_region_that_always_fails_is_avoided() -> None:
    """The values do not predict which points fail, and better points than the incumbent always remain."""

    def objective(trial: optuna.Trial) -> float:
        chosen = layers(trial, 12)
        if chosen[0] >= 2:
            raise ZeroDivisionError
        return -sum((a * b) % 5 for a, b in itertools.pairwise(chosen[1:]))

    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(objective, 50, catch=ZeroDivisionError)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials[25:]) <= 5  # random search: 15


def test_an_untried_trial_is_no_observation_of_a_failure() -> None:
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(separable, 6)
    for _ in range(30):
        trial = study.ask()
        layers(trial)
        trial.set_user_attr(history.UNTRIED, True)
        study.tell(trial, state=TrialState.FAIL)
    optimizer = study.sampler._optimizer
    study.ask()
    assert all(observation.succeeded is not False for observation in optimizer._history)
    assert len(optimizer._history) == 36  # they are known, so that they are not proposed again


def test_the_final_values_of_pruned_trials_are_predicted() -> None:
    """Half the trials are stopped after a third of their steps, and a good point is found all the same."""

    def objective(trial: optuna.Trial) -> float:
        value = separable(trial)
        for step in range(1, 4):
            trial.report(value * 3 / step, step)
            if step == 1 and trial.number % 2:
                raise optuna.TrialPruned
        return value

    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(objective, 60)
    complete = study.sampler._optimizer._history.complete()
    predicted = {observation.point.key: observation.values[0] for observation in complete if not observation.whole}
    true = {
        tuple(sorted(trial.params.items())): separable(optuna.trial.FixedTrial(trial.params))
        for trial in study.trials
        if trial.state == TrialState.PRUNED
    }
    both = np.array([(value, true[key]) for key, value in predicted.items()])
    assert len(both) >= 20
    assert np.corrcoef(both.T)[0, 1] > 0.8
    assert study.best_value > -4


def test_equal_topologies_are_proposed_once() -> None:
    """With a space, the sampler never proposes a key again, even with other parameters."""
    space = scripted.space(blocks=4)
    study = optuna.create_study(sampler=TopologySampler(space, seed=0))
    keys = []
    for _ in range(40):
        trial = study.ask()
        topology = space.sample(trial)
        keys.append(topology.key)
        study.tell(trial, float(len(topology)))
    assert len(set(keys)) == 40


def test_infinite_values_are_allowed() -> None:
    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(lambda trial: math.inf if trial.number % 3 == 0 else -separable(trial), 12)
    assert len(study.trials) == 12


def test_parameters_and_ranges_may_change_from_trial_to_trial() -> None:
    """A parameter is new in later trials, and the range of another one moves."""

    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", trial.number, trial.number + 10)
        return float(width + (trial.suggest_float("late", 0, 1) if trial.number > 8 else 0))

    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(objective, 16)
    assert all("late" in trial.params for trial in study.trials[9:])
