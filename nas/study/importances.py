"""How much each decision matters, by Optuna's evaluators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.space.objectives import Direction
from nas.study.quiet import quiet_libraries

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ABSENT = "–"  # the value of a decision that was not to be made


def importances(rows: Sequence[Mapping[str, str]], values: Sequence[float], direction: Direction) -> dict[str, float]:
    """Return decision → how much it matters for being among the best tenth (PED-ANOVA, Watanabe et al. 2023).

    rows    decision → value, for each candidate; that a decision was not made is a value of its own
    values  of the objective

    They sum to 1, the largest first. Nothing matters where all values are equal.
    """
    import optuna

    names = list(dict.fromkeys(name for row in rows for name in row))
    choices = {name: tuple(dict.fromkeys(row.get(name, ABSENT) for row in rows)) for name in names}
    distributions: dict[str, BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(known) for name, known in choices.items() if len(known) > 1
    }
    if not distributions or min(values) == max(values):
        return {}
    with quiet_libraries():
        study = optuna.study.create_study(storage=optuna.storages.InMemoryStorage(), direction=direction)
    for row, value in zip(rows, values, strict=True):
        params = {name: row.get(name, ABSENT) for name in distributions}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(study, evaluator=evaluator)
