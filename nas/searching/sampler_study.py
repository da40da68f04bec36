"""The study that a sampler reads and writes: a copy of the run's study in memory.

A sampler reads and writes its study dozens of times for one suggestion. With a copy in memory a suggestion takes as
long with a remote database as with a local file; the run's own study is written once, when a candidate is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from nas.errors import SpaceError
from nas.sampling import history
from nas.space import SearchSpace
from nas.space.objectives import predicted_objectives
from nas.study.attributes import CANDIDATE, CURVE, OUTCOME, PREDICTED, number_at, recorded, violations
from nas.topology import Topology

RECORD = (CANDIDATE, OUTCOME)  # system attributes that no sampler reads
SCRATCH = ("tpe:", "gp:", "fixed_params")  # prefixes of system attributes that a sampler needs only while it suggests


class SamplerStudy:
    """An Optuna study in memory with every trial of the run that has parameters, and with those that are running.

    A trial that was refused because it costs too much is PRUNED here and breaks a constraint, so that Optuna's
    samplers learn to avoid such topologies.
    """

    def __init__(self, space: SearchSpace, sampler: BaseSampler) -> None:
        self.space = space
        self.study = optuna.create_study(directions=space.goals.directions, sampler=sampler)

    def suggest(self, params: Mapping[str, Any] | None = None) -> tuple[Trial, Topology]:
        """Return the sampler's next suggestion, or the point with these parameters. Raises SpaceError if it is none."""
        if params is not None:
            self.study.enqueue_trial(dict(params))
        trial = self.study.ask()
        try:
            return trial, self.space.sample(trial)
        except ValueError as error:  # Optuna's, or a SpaceError
            self.discard(trial)
            raise SpaceError(str(error)) from None

    def discard(self, trial: Trial) -> None:
        """End a suggestion that is not evaluated, because it is known or invalid."""
        trial.set_user_attr(history.UNTRIED, True)
        self.study.tell(trial, state=TrialState.FAIL)

    def tell(
        self, trial: Trial, state: TrialState, values: Sequence[float] | None, attributes: Mapping[str, Any]
    ) -> None:
        """Record how a suggestion ended; `attributes` are in the record of its trial in the run's study."""
        for name, value in constraint_violations(self.space, attributes).items():
            trial.set_constraint(name, value)
        for name, attribute in sampler_attributes(self.space, attributes).items():
            trial.set_user_attr(name, attribute)
        self.study.tell(trial, values, sampler_state(self.space, state, attributes))

    def load(self, trial: FrozenTrial) -> None:
        """Add a finished trial of the run's study, unless it has no parameters."""
        if not trial.params:
            return
        attributes = recorded(trial)
        state = sampler_state(self.space, trial.state, attributes)
        self.study.add_trial(
            create_trial(
                state=state,
                values=trial.values if state == TrialState.COMPLETE else None,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=sampler_attributes(self.space, attributes),
                system_attrs={name: noted for name, noted in trial.system_attrs.items() if name not in RECORD},
                constraints=constraint_violations(self.space, attributes),
            )
        )

    def system_attrs(self, trial: Trial) -> dict[str, Any]:
        """Return what the sampler noted about a suggestion (a generation, say), without what it no longer needs."""
        noted = self.study.get_trials(deepcopy=False)[trial.number].system_attrs
        return {name: value for name, value in noted.items() if not name.startswith(SCRATCH)}


def limit_excess(space: SearchSpace, predicted: Mapping[str, int]) -> dict[str, float]:
    """Return cost / limit − 1 for every cost that has a limit and a prediction; positive is over the limit."""
    rows = predicted_objectives()
    return {name: rows[name].excess(predicted[name], at) for name, at in space.limits.items() if name in predicted}


def constraint_violations(space: SearchSpace, attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return how far a trial violates each limit and each constraint of the search; positive is a violation."""
    predicted = attributes.get(PREDICTED) or {}
    wanted = violations(space.goals, attributes)
    return limit_excess(space, predicted) | {f"{name} wanted": value for name, value in wanted.items()}


def sampler_attributes(space: SearchSpace, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user attributes that nas.sampling.history reads.

    They are the learning curve of the metric, and the objectives that are known before training, which count for a
    trial that was stopped early.
    """
    objectives, metric = space.goals.names, space.goals.metric
    found: dict[str, Any] = {}
    points = ((number_at(entry, "epoch"), number_at(entry, metric)) for entry in attributes.get(CURVE) or ())
    curve = {int(epoch): value for epoch, value in points if math.isfinite(epoch) and math.isfinite(value)}
    if curve and metric in objectives:
        found[history.CURVE] = {"objective": objectives.index(metric), "values": curve}
    predicted = attributes.get(PREDICTED) or {}
    found[history.KNOWN] = [predicted.get(name) for name in objectives]
    return found


def sampler_state(space: SearchSpace, state: TrialState, attributes: Mapping[str, Any]) -> TrialState:
    """Return the state that a sampler sees: PRUNED instead of FAIL for a trial over the limits.

    Samplers ignore failed trials, but learn from the constraint that a pruned one violates.
    """
    excess = limit_excess(space, attributes.get(PREDICTED) or {})
    over = state == TrialState.FAIL and any(share > 0 for share in excess.values())
    return TrialState.PRUNED if over else state
