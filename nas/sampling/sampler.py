"""TopologySampler: Bayesian optimisation over topologies, or over the parameters of any Optuna study."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.sampling.optimizer import Optimizer
from nas.sampling.parameters import contains
from nas.sampling.topologies import FeatureFunction
from nas.space import SearchSpace
from nas.study import compat
from nas.topology.paths import describe


class TopologySampler(BaseSampler):
    """An Optuna sampler that proposes the point of the largest expected improvement among those that were never tried.

    With several objectives it is the expected improvement of the hypervolume. There is a Gaussian process
    (nas.surrogate.process) for each objective and each constraint; nas.sampling.optimizer gives the formula. With a
    `space` the points are topologies in their canonical form, otherwise they are parameters, and a parameter that a
    trial does not have is the category "absent". All points are compared if they are few, otherwise random points and
    mutants of good ones. A running trial counts as if it had reached its posterior mean (kriging believer), a pruned
    one as its learning curve predicts, and a failed one lowers the probability of success of similar points.

    space             the space of the trials; without one, the parameters of the study's own trials
    seed              proposals are a function of the seed and of the trials
    features          topology → further numbers that may predict its objectives; used where there is a space
    constraints_func  trial → numbers, positive for a violation, as in Optuna's samplers; Trial.set_constraint is an
                      alternative
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        *,
        seed: int | None = None,
        features: FeatureFunction = describe,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
    ) -> None:
        self.space, self._features = space, features
        self._constraints_func = constraints_func
        self._uniform = RandomSampler(seed)
        self._rng = random.Random(seed)
        self._optimizer: Optimizer | None = None
        self._proposals: dict[int, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return an empty search space: one parameter may decide which others exist, so all are sampled one by one."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return no parameters: see `infer_relative_search_space`."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Propose a whole point for the trial, unless it was enqueued with its parameters."""
        if compat.enqueued_params(trial) is not None:
            return
        with self._lock:
            if self._optimizer is None or not self._optimizer.is_of(study):
                self._optimizer = Optimizer(study, self.space, self._features, self._rng)
            self._proposals[trial.number] = self._optimizer.propose(study, self._proposals)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the value of the trial's proposal; sample uniformly if it has none that the distribution contains."""
        proposal = self._proposals.get(trial.number, {})
        if param_name in proposal and contains(param_distribution, proposal[param_name]):
            return proposal[param_name]
        return self._uniform.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the proposal of the trial and store the values of its constraints."""
        self._proposals.pop(trial.number, None)
        if self._constraints_func is not None and state in (TrialState.COMPLETE, TrialState.PRUNED):
            compat.store_constraints(study, trial, self._constraints_func(trial))

    def reseed_rng(self) -> None:
        """Give all generators new seeds, for a copy of the sampler in another process."""
        self._uniform.reseed_rng()
        self._rng.seed()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the models: a copy in another process reads the study again."""
        return self.__dict__ | {"_lock": None, "_optimizer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state with a new lock."""
        self.__dict__ |= state | {"_lock": threading.Lock()}
