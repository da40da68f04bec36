"""TopologySampler: Bayesian optimisation over what a topology is, for any Optuna study."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.sampling.domain import Features
from nas.sampling.optimizer import Optimizer
from nas.space import SearchSpace
from nas.topology.paths import describe


class TopologySampler(BaseSampler):
    """Proposes, among all points that were never tried, the one of the largest expected (hypervolume) improvement.

    Gaussian processes (nas.sampling.surrogate), one for each objective and each constraint, see a point as what it
    decides and no more: parameters that a trial did not decide carry no weight, and with a `space` the points are
    its topologies in their canonical form. Where the points are few all are looked at, else those that chance and
    the change of good ones bring up. Trials that run count as if they had given what is expected of them; pruned
    ones as what their learning curves foretell; failed ones lower the probability to succeed nearby.

    space             of the trials; without one, whatever the study's trials have decided before
    seed              the same seed, the same trials, the same proposals
    features          of a topology, where there is a space: numbers that may foretell what it is worth
    constraints_func  as Optuna's samplers take it: a trial → numbers, positive where a constraint is broken;
                      trial.set_constraint does the same
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        *,
        seed: int | None = None,
        features: Features = describe,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
    ) -> None:
        self.space, self._features = space, features
        self._constraints_func = constraints_func
        self._chance = RandomSampler(seed)
        self._rng = random.Random(seed)
        self._optimizer: Optimizer | None = None
        self._proposals: dict[int, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing, since what a trial decides first may change what it decides next: see sample_independent."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Think of a whole point, unless somebody has already."""
        if "fixed_params" in trial.system_attrs:
            return
        with self._lock:
            if self._optimizer is None or not self._optimizer.is_of(study):
                self._optimizer = Optimizer(study, self.space, self._features, self._rng)
            self._proposals[trial.number] = self._optimizer.propose(study, self._proposals)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What was thought of; at random what nobody could know of."""
        proposal = self._proposals.get(trial.number, {})
        if param_name in proposal and _holds(param_distribution, proposal[param_name]):
            return proposal[param_name]
        return self._chance.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._proposals.pop(trial.number, None)
        if self._constraints_func is not None and state in (TrialState.COMPLETE, TrialState.PRUNED):
            constraints = tuple(float(value) for value in self._constraints_func(trial))
            study._storage.set_trial_system_attr(trial._trial_id, "constraints", constraints)

    def reseed_rng(self) -> None:
        self._chance.reseed_rng()
        self._rng.seed()

    def __getstate__(self) -> dict[str, Any]:
        """What is known follows from the study: a copy elsewhere reads it anew."""
        return self.__dict__ | {"_lock": None, "_optimizer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.Lock()}


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False
