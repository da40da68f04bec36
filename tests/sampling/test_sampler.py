"""TopologySampler in Optuna studies of every kind."""

import itertools
import math
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
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
    """15,625 points, one best: 0."""
    wanted = [3, 1, 4, 1, 0, 2]
    chosen = layers(trial)
    return -sum(abs(a - b) ** 1.5 for a, b in zip(chosen, wanted, strict=True)) - (chosen[0] == chosen[5])


def conditional(trial: optuna.Trial) -> float:
    """Numbers, words, and a depth on which it depends what is asked: the best is 0."""
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
    """4^20 = 10^12 points; the best is 0."""
    chosen = [trial.suggest_int(f"x{i}", 0, 3) for i in range(20)]
    wrong = [value != (i * 7 % 4) for i, value in enumerate(chosen)]
    return -sum(wrong) - 0.5 * sum(a and b for a, b in itertools.pairwise(wrong))


def best_of(
    sampler: BaseSampler, objective: Callable[[optuna.Trial], float], trials: int, broken: float = 0.0
) -> float:
    """The best value of a search in which some trials fail by chance."""
    rng = random.Random(0)

    def failing(trial: optuna.Trial) -> float:
        value = objective(trial)
        if rng.random() < broken:
            raise ZeroDivisionError
        return value

    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(failing, trials, catch=ZeroDivisionError)
    return study.best_value


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(level)


@pytest.mark.parametrize(
    ("objective", "trials", "broken"),
    [(separable, 60, 0.0), (separable, 60, 0.3), (conditional, 60, 0.0), (conditional, 60, 0.3), (huge, 100, 0.0)],
    ids=["words", "words, 30 % failed", "conditions", "conditions, 30 % failed", "10^12 points"],
)
def test_it_is_ahead_of_tpe_and_of_chance(
    objective: Callable[[optuna.Trial], float], trials: int, broken: float
) -> None:
    """Mean of three seeds; ahead: with at most two thirds of the regret of the better of the two."""

    def regret(make: Callable[[int], BaseSampler]) -> float:
        return -float(np.mean([best_of(make(seed), objective, trials, broken) for seed in range(3)]))

    ours = regret(lambda seed: TopologySampler(seed=seed))
    tpe = regret(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True))
    assert ours <= 2 / 3 * min(tpe, regret(lambda seed: RandomSampler(seed=seed)))


def hypervolume(values: Sequence[Sequence[float]]) -> float:
    """Of three objectives to be minimised, below (1, 1, 1), by the share of a grid that is dominated."""
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
    assert len(tried) == 40  # and then it goes on


def test_what_runs_is_not_proposed_again() -> None:
    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(separable, 12)
    flying = [study.ask() for _ in range(32)]
    tried = {tuple(layers(trial)) for trial in flying} | {tuple(map(str, t.params.values())) for t in study.trials[:12]}
    assert len(tried) == 44


def test_a_batch_is_diverse() -> None:
    """Thirty-two proposals made at once differ about as much as points at random do, and more than one's neighbours."""
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


def test_another_process_goes_on_with_a_study(tmp_path: Any) -> None:
    """A sampler that was pickled, or is new, reads what the storage holds."""
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


def test_what_is_enqueued_is_left_alone() -> None:
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.enqueue_trial({f"layer{i}": "c" for i in range(6)})
    study.optimize(separable, 3)
    assert set(study.trials[0].params.values()) == {"c"}


@pytest.mark.parametrize("how", ["constraints_func", "set_constraint"])
def test_constraints_are_kept(how: str) -> None:
    """The best without the constraint is far beyond it."""

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


def test_what_fails_for_a_reason_is_left_alone() -> None:
    """The values tell nothing of what fails, and there is always something left to gain."""

    def objective(trial: optuna.Trial) -> float:
        chosen = layers(trial, 12)
        if chosen[0] >= 2:
            raise ZeroDivisionError
        return -sum((a * b) % 5 for a, b in itertools.pairwise(chosen[1:]))

    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(objective, 50, catch=ZeroDivisionError)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials[25:]) <= 5  # by chance 15


def test_what_was_never_tried_has_not_failed() -> None:
    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(separable, 6)
    for _ in range(30):
        trial = study.ask()
        layers(trial)
        trial.set_user_attr(history.UNTRIED, True)
        study.tell(trial, state=TrialState.FAIL)
    optimizer = study.sampler._optimizer
    study.ask()
    assert all(told.succeeded is not False for told in optimizer._history)
    assert len(optimizer._history) == 36  # known, so not proposed again


def test_a_pruned_trial_teaches_what_its_curve_foretells() -> None:
    """Half the trials are stopped after a third of the way: the best is found all the same, and sooner than without."""

    def objective(trial: optuna.Trial) -> float:
        value = separable(trial)
        for step in range(1, 4):
            trial.report(value * 3 / step, step)
            if step == 1 and trial.number % 2:
                raise optuna.TrialPruned
        return value

    study = optuna.create_study(direction="maximize", sampler=TopologySampler(seed=0))
    study.optimize(objective, 60)
    foretold = {
        told.point.key: told.values[0] for told in study.sampler._optimizer._history.complete() if not told.whole
    }
    true = {
        tuple(sorted(trial.params.items())): separable(optuna.trial.FixedTrial(trial.params))
        for trial in study.trials
        if trial.state == TrialState.PRUNED
    }
    both = np.array([(value, true[key]) for key, value in foretold.items()])
    assert len(both) >= 20
    assert np.corrcoef(both.T)[0, 1] > 0.8
    assert study.best_value > -4


def test_a_topology_in_other_words_is_known(tmp_path: Any) -> None:
    """Over a space the sampler never proposes a key again, however it is spelled."""
    space = scripted.space(blocks=4)
    study = optuna.create_study(sampler=TopologySampler(space, seed=0))
    keys = []
    for _ in range(40):
        trial = study.ask()
        topology = space.sample(trial)
        keys.append(topology.key)
        study.tell(trial, float(len(topology)))
    assert len(set(keys)) == 40


def test_infinite_values_do_no_harm() -> None:
    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(lambda trial: math.inf if trial.number % 3 == 0 else -separable(trial), 12)
    assert len(study.trials) == 12


def test_a_study_that_changes_its_mind_is_followed() -> None:
    """New parameters, and ranges that move from trial to trial."""

    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", trial.number, trial.number + 10)
        return float(width + (trial.suggest_float("late", 0, 1) if trial.number > 8 else 0))

    study = optuna.create_study(sampler=TopologySampler(seed=0))
    study.optimize(objective, 16)
    assert all("late" in trial.params for trial in study.trials[9:])
