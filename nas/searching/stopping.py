"""Early stopping: ASHA on the metric of the task, fair to what is small.

Rungs are the epochs grace, grace·η, grace·η², … At a rung ASHA (Li et al. 2020, arXiv:1810.05934) stops a candidate
whose metric is not among the best 1/η of all that were there before. Where the search is after something cheap as
well, small candidates would be stopped only because large ones are more accurate. So one of those before it must
also dominate it:

    i is stopped  ⇔  m(i) is not among the best 1/η of the rung, and
                     some j of the rung dominates i: no worse in m and in every c, better in one

m is the metric at the rung; the costs c are those objectives that are known before training. Without any, the second
condition follows from the first: plain ASHA.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from nas.searching.proposals import Candidate
from nas.space import PRICED, SearchSpace
from nas.study import attributes as names
from nas.study.leaders import Front

NOBODY: Any = None  # for Tune's controller, of which ASHA asks nothing
NEVER = 10**6  # epochs: a full training ends by itself, whatever the scheduler stops was pruned


class FairASHA(ASHAScheduler):
    """Stops candidates by the rule above; baselines never, since every table compares with them.

    candidate  the one that a trial of Tune trains, by the trial's id
    past       trials of earlier sessions: their curves count as if they had been seen here
    """

    def __init__(
        self, space: SearchSpace, candidate: Callable[[str], Candidate], past: Iterable[FrozenTrial] = ()
    ) -> None:
        rule, task = space.search.early_stopping, space.task
        super().__init__(
            time_attr="epoch",
            metric=task.metric,
            mode="max" if task.direction == "maximize" else "min",
            max_t=NEVER,
            grace_period=rule.grace,
            reduction_factor=rule.reduction,
        )
        self.metric_name, self.sign = task.metric, -1 if task.direction == "maximize" else 1
        self.costs = tuple(name for name in space.search.objectives if name in PRICED)
        self.candidate = candidate
        self.fronts: defaultdict[int, Front] = defaultdict(Front)  # epoch → who is not dominated there
        for trial in filter(names.counts, past):
            self._recall(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        candidate = self.candidate(trial.trial_id)
        decision = self._judge(trial, result, candidate.predicted)
        return TrialScheduler.CONTINUE if candidate.baseline else decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if self._measures(result):
            super().on_trial_complete(tune_controller, trial, result)

    def _judge(self, trial: Any, result: dict[str, Any], predicted: Mapping[str, Any]) -> str:
        """CONTINUE or STOP, once ASHA has noted the result; what is no number is for others to judge."""
        if not self._measures(result):
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(NOBODY, trial, result)
        costs = (float(predicted.get(name, math.inf)) for name in self.costs)
        losses = self.sign * float(result[self.metric_name]), *costs
        undominated = self.fronts[result["epoch"]].add(trial.trial_id, losses)
        return TrialScheduler.CONTINUE if undominated else decision

    def _measures(self, result: Mapping[str, Any]) -> bool:
        metric = result.get(self.metric_name)
        return isinstance(metric, int | float) and math.isfinite(metric)

    def _recall(self, trial: FrozenTrial) -> None:
        stand_in: Any = SimpleNamespace(trial_id=f"trial {trial.number}")
        self.on_trial_add(NOBODY, stand_in)
        for result in trial.user_attrs[names.CURVE]:
            self._judge(stand_in, result, trial.user_attrs.get(names.PREDICTED, {}))
        self.on_trial_remove(NOBODY, stand_in)


def scheduler(
    space: SearchSpace, candidate: Callable[[str], Candidate], past: Iterable[FrozenTrial] = ()
) -> TrialScheduler:
    """Who stops candidates early: nobody, or FairASHA."""
    return FIFOScheduler() if space.search.early_stopping.rule == "none" else FairASHA(space, candidate, past)
