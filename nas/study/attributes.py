"""The user attributes of a trial: their names, and what they say.

A COMPLETE trial was trained to the full budget, a PRUNED one was stopped early by a scheduler, a FAIL has its
`reason`. A trial that was trained, to whatever end, has a learning curve (which may be empty); one that was refused
before training has none and does not count. Nor does one that was `reused`: its result is that of another run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from nas.space import Goals, Objective, SearchSpace

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# the user attributes of a trial: plain JSON, so that every tool that reads Optuna's storages can show them
TOPOLOGY = "topology"  # Topology.to_dict()
LINE = "line"  # Topology.describe()
KEY = "key"  # Topology.key
BASELINE = "baseline"  # the name of the baseline that it is
SEED = "seed"
PREDICTED = "predicted"  # {params, flops, memory}: the price before training
MEASURED = "measured"  # {seconds, busy, …}: what training took
PROXIES = "proxies"  # {naswot: …}: what was computed of the untrained network
METRICS = "metrics"  # {accuracy, loss, …} at the end of the last epoch
CURVE = "curve"  # [{epoch, accuracy, …}, …]
REASON = "reason"  # why it failed
REUSED = "reused"  # {run, trial}: whose result it has; it was not trained here
REPEAT = "repeat"  # the how manieth evaluation, after the first, of a topology with other seeds
SAVED = "saved"  # how many proposals before it were not trained because an equal topology was


def value_of(objective: Objective, known: Mapping[str, Any]) -> float:
    """Return the value of an objective in the attributes of a trial; NaN where they do not hold it as a number."""
    values = [number(known.get(name), objective.name) for name in places(objective)]
    return next((value for value in values if not math.isnan(value)), math.nan)


def places(objective: Objective) -> tuple[str, ...]:
    """Return the attributes that may hold the value of an objective, the first one first."""
    return (PREDICTED,) if objective.before_training else (METRICS, MEASURED)


def violations(goals: Goals, known: Mapping[str, Any]) -> dict[str, float]:
    """Return by how much a trial breaks each constraint whose value is known, as a share of its bound: positive is
    broken.
    """
    values = [(row, value_of(row, known), bound) for row, bound in goals.bounds()]
    return {row.name: row.excess(value, bound) for row, value, bound in values if not math.isnan(value)}


def feasible(space: SearchSpace, known: Mapping[str, Any]) -> bool:
    """Return whether a trial with these attributes keeps every constraint of the search, as far as is known."""
    return all(excess <= 0 for excess in violations(space.goals, known).values())


def standing(space: SearchSpace, known: Mapping[str, Any]) -> tuple[float, ...]:
    """What the winner is chosen by, smaller is better: feasible first, then the metric, then the fewest parameters."""
    target = space.goals.target
    loss = target.loss(value_of(target, known))
    return float(not feasible(space, known)), loss, number(known.get(PREDICTED), "params")


def mean(tuples: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Of each place; a single one is itself, bit for bit."""
    return tuples[0] if len(tuples) == 1 else tuple(map(fmean, zip(*tuples, strict=True)))


def counts(trial: FrozenTrial) -> bool:
    """Was it trained, to whatever end? Only such a trial is one of the trials that a search was asked for."""
    return trial.state.is_finished() and CURVE in trial.user_attrs and REUSED not in trial.user_attrs


def number(values: object, name: str) -> float:
    """values[name], or NaN where it is missing or no number."""
    value = values.get(name) if isinstance(values, Mapping) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
