"""The record of a trial: the names of what it holds, and functions of their values.

It stands in two system attributes of the trial, CANDIDATE and OUTCOME. Its user attributes are a short form of it for
people (nas.study.shown): the Optuna dashboard lays out whatever stands there, and curves are wider than a screen.

A COMPLETE trial was trained to the full budget, a PRUNED one was stopped early by a scheduler, and a FAIL has a REASON.
A trial whose training has ended has a CURVE, which may be empty. One that was refused before its training, or that a
person ended, has none, and does not count among the trials that a search was asked for; nor does a REUSED one, whose
result is that of another run, nor a BASELINE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from nas.errors import Dismissed
from nas.results.records import LARGEST
from nas.space import Goals, Objective, SearchSpace

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CANDIDATE = "nas:candidate"  # system attribute: what is known of a trial before its training
OUTCOME = "nas:outcome"  # system attribute: what its training gave
OWNER = "nas:owner"  # system attribute: the token of the member (nas.study.lease) that trains it; null while it waits

# names in the record; their values are plain JSON
TOPOLOGY = "topology"  # Topology.to_dict()
LINE = "line"  # Topology.describe()
KEY = "key"  # Topology.key
BASELINE = "baseline"  # its name, of a baseline and of other controls (nas.searching.controls)
SEED = "seed"
PREDICTED = "predicted"  # {params, flops, memory}: the costs that are known before training
MEASURED = "measured"  # {seconds, busy, …}: numbers that were measured while the candidate was trained
PROXIES = "proxies"  # {naswot: …}: the proxies of the untrained network
METRICS = "metrics"  # {accuracy, loss, …}: the last record of the curve
CURVE = "curve"  # [{epoch, accuracy, …}, …]: one record for each epoch
REASON = "reason"  # why the trial failed
REUSED = "reused"  # {run, trial}: the trial of another run whose result was taken
REPEAT = "repeat"  # how many times the topology was evaluated before, with other seeds
PILOT = "pilot"  # true for topologies that were drawn uniformly, to know the noise and the differences of the space
PAIR = "pair"  # {of, decision, value}: the trial from which it differs in one decision, to know what that is worth
SAVED = "saved"  # how many proposals before this one were not trained, because an equal topology had been

MAPPING = (dict, Mapping)  # dict first: to ask the abstract class takes ten times as long
# what may stand under a name, since a study can be written by anybody; anything else is left out
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys((LINE, KEY, BASELINE, REASON), str),
    **dict.fromkeys((SEED, REPEAT, SAVED, PILOT), int),
    **dict.fromkeys((TOPOLOGY, PREDICTED, MEASURED, PROXIES, METRICS, REUSED, PAIR), MAPPING),
}


def recorded(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the record of a trial: its values by the names above.

    A trial that has no CANDIDATE was added by another program, or by a version that recorded as user attributes.
    """
    begun, ended = (trial.system_attrs.get(name) for name in (CANDIDATE, OUTCOME))
    known = {
        **(begun if isinstance(begun, Mapping) else trial.user_attrs),
        **(ended if isinstance(ended, Mapping) else {}),
    }
    return {name: value for name, value in known.items() if _fits(name, value)}


def _fits(name: str, value: object) -> bool:
    """Return whether a value in a record is of the kind that its name promises."""
    if name == CURVE:
        return isinstance(value, list) and all(isinstance(record, MAPPING) for record in value)
    return isinstance(value, KINDS.get(name, object))


def ended_by_person(trial: FrozenTrial) -> bool:
    """Return whether somebody ended a trial of a search, in the Optuna dashboard say, before its training had ended.

    The search writes the OUTCOME before the state, so a trial that ended without one was ended by somebody else.
    """
    begun = trial.system_attrs.get(CANDIDATE)
    ours = isinstance(begun, Mapping) and REASON not in begun
    return ours and trial.state.is_finished() and OUTCOME not in trial.system_attrs


def reason_of(trial: FrozenTrial, known: Mapping[str, Any] | None = None) -> str | None:
    """Return why a trial failed, or that a person ended it, in whatever state; None if nothing of that says so.

    known  the record of the trial; it is read unless given
    """
    reason: str | None = (recorded(trial) if known is None else known).get(REASON)
    return reason or (Dismissed.reason if ended_by_person(trial) else None)


def value_of(objective: Objective, attributes: Mapping[str, Any]) -> float:
    """Return the value of an objective in the record of a trial; NaN if it holds no such number."""
    for name in holders(objective):
        value = number_at(attributes.get(name), objective.name)
        if not math.isnan(value):
            return value
    return math.nan


def holders(objective: Objective) -> tuple[str, ...]:
    """Return the names in the record that may hold the value of an objective; the first one counts."""
    return (PREDICTED,) if objective.before_training else (METRICS, MEASURED)


def violations(goals: Goals, attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return how far a trial is beyond the bound of each constraint whose value is known, as a fraction of the bound;
    positive is a violation.
    """
    values = [(objective, value_of(objective, attributes), bound) for objective, bound in goals.bounds()]
    return {row.name: row.excess(value, bound) for row, value, bound in values if not math.isnan(value)}


def is_feasible(space: SearchSpace, attributes: Mapping[str, Any]) -> bool:
    """Return whether a trial violates no constraint of the search, as far as its values are known."""
    return all(excess <= 0 for excess in violations(space.goals, attributes).values())


def winner_rank(space: SearchSpace, attributes: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the sort key that chooses the winner; smaller is better.

    A feasible trial comes before one that is not; then the metric counts, then the number of parameters.
    """
    target = space.goals.target
    loss = target.loss(value_of(target, attributes))
    return float(not is_feasible(space, attributes)), loss, number_at(attributes.get(PREDICTED), "params")


def elementwise_mean(tuples: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the mean of each element over tuples of one length; a single tuple is returned as it is, bit for bit."""
    return tuples[0] if len(tuples) == 1 else tuple(map(fmean, zip(*tuples, strict=True)))


def was_trained(trial: FrozenTrial) -> bool:
    """Return whether the trial was trained in its own run, to whatever end."""
    known = recorded(trial)
    return trial.state.is_finished() and CURVE in known and REUSED not in known


def counts(trial: FrozenTrial) -> bool:
    """Return whether the trial counts among the trials that a search was asked for: it is trained and no baseline."""
    return was_trained(trial) and BASELINE not in recorded(trial)


def number_at(values: object, name: str) -> float:
    """Return values[name], or NaN if it is missing, no number, or larger than any metric."""
    value = values.get(name) if isinstance(values, MAPPING) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return value if -LARGEST <= value <= LARGEST else math.nan
