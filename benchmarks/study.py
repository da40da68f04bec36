"""The record of a search of thousands of candidates that nobody trained, to measure and test what reads one.

It is the record of a search: topologies drawn from a space, with their parameters, costs, curves of five epochs and
attributes; baselines; trials that were stopped early, failed or refused; and leaders that were trained from three
seeds. Its rows are inserted in bulk, because one after the other they take minutes.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from nas.searching.candidate import Candidate
from nas.searching.outcome import TrialOutcome, objective_values
from nas.space import SearchSpace
from nas.study import Run
from nas.study.attributes import CURVE, MEASURED, METRICS, OUTCOME, REASON
from nas.study.plain import as_json
from nas.study.shown import user_attributes
from nas.topology import Topology

START, TAKES = datetime(2026, 1, 5, 9), timedelta(seconds=5)
REPEATED = 12  # topologies that are trained from three seeds
FAILURES = ("diverged: the loss is not finite in epoch 2", "out of memory: it needs 3.2 GiB, but 2.0 GiB are free")
# shares of the trials: 78 % are trained to the end
STOPPED, FAILED, REFUSED = 0.78, 0.95, 0.98

Price = Callable[[Topology], Mapping[str, int]]
Rows = dict[type[Any], list[dict[str, Any]]]


class Ended(NamedTuple):
    """A candidate, and how it ended; a refused one has no outcome."""

    candidate: Candidate
    state: TrialState
    outcome: TrialOutcome | None


def recorded_run(
    root: Path, name: str, trials: int, *, space: SearchSpace, price: Price, storage: str | None = None
) -> Run:
    """Create a run in `root` whose study holds so many trials, of costs that `price` tells."""
    run = Run.create(space, name, root, storage)
    rows: Rows = {}
    with run.storage.engine.begin() as connection:
        study = run.storage.get_study_id_from_name(name)
        first = connection.exec_driver_sql("SELECT max(trial_id) FROM trials").scalar() or 0
        for number, ended in enumerate(_ended(space, price, trials)):
            _add(rows, study, first + 1 + number, number, ended, space)
        for model, some in rows.items():
            connection.execute(model.__table__.insert(), some)
        if connection.dialect.name == "postgresql":  # it does not see which identifiers were given to it
            sequence = "pg_get_serial_sequence('trials', 'trial_id')"
            connection.exec_driver_sql(f"SELECT setval({sequence}, (SELECT max(trial_id) FROM trials))")
    return run


def _ended(space: SearchSpace, price: Price, trials: int) -> Iterator[Ended]:
    rng, drawn = random.Random(0), optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    leaders: list[tuple[float, Topology]] = []
    seen: set[str] = set()
    repeats = min(2 * REPEATED, trials // 5)
    for name, topology in space.baselines(price=price).items():
        seen.add(topology.key)
        yield _end(Candidate(topology, 0, price(topology), baseline=name), rng, 0.0)
        trials -= 1
    while trials > repeats:
        trial = drawn.ask()
        topology = space.sample(trial)
        if topology.key in seen:
            continue
        seen.add(topology.key)
        ended = _end(Candidate(topology, 0, price(topology), sampler_trial=trial), rng, rng.random())
        if ended.outcome is not None and ended.state == TrialState.COMPLETE:
            leaders.append((ended.outcome.metrics["accuracy"], topology))
        trials -= 1
        yield ended
    leaders.sort(key=lambda one: -one[0])
    for place in range(trials):
        topology, seed = leaders[place // 2][1], 1 + place % 2
        yield _end(Candidate(topology, seed, price(topology), repeat=seed), rng, 0.0)


def _end(candidate: Candidate, rng: random.Random, luck: float) -> Ended:
    """Return a made-up end of a training."""
    if luck > REFUSED:
        candidate.refusal = "over the limits: 612,480 params, 500,000 allowed"
        return Ended(candidate, TrialState.FAIL, None)
    skips = sum(bool(block.skips) for block in candidate.topology.blocks) / len(candidate.topology.blocks)
    final = 0.6 + 0.2 * skips + 0.04 * math.log10(candidate.predicted["params"] / 1e4) + rng.gauss(0, 0.02)
    curve = [
        {
            "epoch": epoch,
            "loss": 2.3 * 0.6**epoch + rng.random() / 9,
            "accuracy": final * (1 - 0.5**epoch),
            "seconds": rng.random(),
        }
        for epoch in range(1, 3 if luck > STOPPED else 6)
    ]
    measured = {"seconds": sum(row["seconds"] for row in curve), "samples_per_second": 900 * rng.random(), "busy": 5.1}
    if luck > FAILED:
        return Ended(candidate, TrialState.FAIL, TrialOutcome(curve, failure=rng.choice(FAILURES), measured=measured))
    whole = luck <= STOPPED
    outcome = TrialOutcome(curve, full_budget=whole, measured=measured)
    return Ended(candidate, TrialState.COMPLETE if whole else TrialState.PRUNED, outcome)


def _add(rows: Rows, study: int, identity: int, number: int, ended: Ended, space: SearchSpace) -> None:
    """Add the rows of a trial, as a search writes them."""
    candidate, state, outcome = ended
    begun, after = candidate.trial(TrialState.WAITING), {} if outcome is None else _after(outcome)

    def add(model: type[Any], **values: Any) -> None:
        rows.setdefault(model, []).append({"trial_id": identity} | values)

    times = {"datetime_start": START + TAKES / 2 * number, "datetime_complete": START + TAKES / 2 * number + TAKES}
    add(models.TrialModel, number=number, study_id=study, state=state, **times)
    if outcome is not None and state == TrialState.COMPLETE:
        for objective, value in enumerate(objective_values(outcome, space, candidate.predicted)):
            final, sort = models.TrialValueModel.value_to_stored_repr(value)
            add(models.TrialValueModel, objective=objective, value=final, value_type=sort)
    for name, value, distribution in _params(begun):
        add(models.TrialParamModel, param_name=name, param_value=value, distribution_json=distribution)
    for model, attributes in (
        (models.TrialUserAttributeModel, begun.user_attrs | user_attributes(after)),
        (models.TrialSystemAttributeModel, begun.system_attrs | ({OUTCOME: after} if after else {})),
    ):
        for key, value in attributes.items():
            add(model, key=key, value_json=json.dumps(as_json(value)))
    for record in after.get(CURVE, ()):
        step = record["epoch"]
        metric, of_kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(record["accuracy"])
        reported = {"intermediate_value": metric, "intermediate_value_type": of_kind}
        add(models.TrialIntermediateValueModel, step=step, **reported)


def _after(outcome: TrialOutcome) -> dict[str, Any]:
    """Return what a training adds to the record."""
    known = {CURVE: list(outcome.curve), MEASURED: dict(outcome.measured)}
    return known | ({METRICS: outcome.metrics} if outcome.failure is None else {REASON: outcome.failure})


def _params(trial: FrozenTrial) -> Iterator[tuple[str, float, str]]:
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        yield name, distribution.to_internal_repr(value), distribution_to_json(distribution)
