"""Early stopping: ASHA on the metric of the task, with a rule that spares small candidates.

Rungs are the epochs grace, grace·η, grace·η², … At a rung ASHA (Li et al. 2020, arXiv:1810.05934) stops a candidate
whose metric is not among the best 1/η of all that reached the rung before. If costs are objectives as well, small
candidates would be stopped only because large ones are more accurate. So one of those at the rung must also dominate
the candidate:

    i is stopped  ⇔  m(i) is not among the best 1/η of the rung, and
                     some j of the rung dominates i: it is no worse in m and in every c, and better in one of them

m is the metric at the rung; the costs c are the objectives that are known before training. Without any cost the second
condition follows from the first, and the rule is plain ASHA.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from nas.searching.candidate import Candidate
from nas.space import SearchSpace
from nas.study.attributes import CURVE, PREDICTED, number_at, recorded, was_trained
from nas.study.pareto import ParetoFront

NO_CONTROLLER: Any = None  # instead of Tune's controller, which ASHA does not use
NEVER = 10**6  # epochs: a full training ends by itself, so whatever the scheduler stops was stopped early


Added = Callable[[Any, Any], None]  # called with Tune's controller and each trial that Tune adds


class NeverStops(FIFOScheduler):
    """Never stops a trial.

    added  is called for each trial
    """

    def __init__(self, added: Added) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.added = added

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Report a new trial of Tune."""
        self.added(tune_controller, trial)


class FairASHA(ASHAScheduler):
    """Stops candidates by the rule above. It never stops a baseline, since every table compares with the baselines, nor
    a training of the pilot, which would leave a selection of what was drawn.

    A candidate whose training starts again is another trial of Tune, but counts once at each rung.

    candidate  returns the candidate that a Tune trial evaluates, by the trial's id
    added      is called for each trial of Tune
    past       trials of earlier sessions; their learning curves count as if this scheduler had seen them
    """

    def __init__(
        self,
        space: SearchSpace,
        candidate: Callable[[str], Candidate],
        added: Added,
        past: Iterable[FrozenTrial] = (),
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
        self.costs = tuple(row for row in space.goals.objectives if row.before_training)
        self.candidate, self.added = candidate, added
        self.fronts: defaultdict[int, ParetoFront[str]] = defaultdict(ParetoFront)  # epoch → non-dominated trials
        for trial in filter(was_trained, past):
            self._recall(trial)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take a new trial of Tune, and the epochs after which its training goes on."""
        candidate, stand_in = self.candidate(trial.trial_id), self._stand_in(trial)
        super().on_trial_add(NO_CONTROLLER, stand_in)
        for result in candidate.trained:
            self._judge(stand_in, result, candidate.predicted)
        self.added(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial that was stopped before it began."""
        super().on_trial_remove(NO_CONTROLLER, self._stand_in(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether Tune is to stop the trial: CONTINUE or STOP."""
        candidate = self.candidate(trial.trial_id)
        decision = self._judge(self._stand_in(trial), result, candidate.predicted)
        return TrialScheduler.CONTINUE if candidate.baseline or candidate.pilot else decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note the last result of a trial, unless its metric is no number."""
        if self._is_comparable(result):
            super().on_trial_complete(NO_CONTROLLER, self._stand_in(trial), result)

    def _stand_in(self, trial: Any) -> Any:
        """Return what ASHA takes for the trial: the same for every training of one candidate."""
        return SimpleNamespace(trial_id=f"candidate {self.candidate(trial.trial_id).serial}")

    def _judge(self, trial: Any, result: Mapping[str, Any], predicted: Mapping[str, Any]) -> str:
        """Let ASHA note the result and return CONTINUE or STOP.

        A metric that is no finite number is a failure, which nas.searching.outcome decides; here the trial goes on.
        """
        if not self._is_comparable(result):
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(NO_CONTROLLER, trial, dict(result))
        known = ((row, number_at(predicted, row.name)) for row in self.costs)
        costs = (math.inf if math.isnan(value) else row.loss(float(value)) for row, value in known)
        losses = self.sign * float(result[self.metric_name]), *costs
        undominated = self.fronts[result["epoch"]].add(trial.trial_id, losses)
        return TrialScheduler.CONTINUE if undominated else decision

    def _is_comparable(self, result: Mapping[str, Any]) -> bool:
        return all(math.isfinite(number_at(result, name)) for name in (self.metric_name, "epoch"))

    def _recall(self, trial: FrozenTrial) -> None:
        stand_in: Any = SimpleNamespace(trial_id=f"trial {trial.number}")
        super().on_trial_add(NO_CONTROLLER, stand_in)
        known = recorded(trial)
        for result in known[CURVE]:
            self._judge(stand_in, result, known.get(PREDICTED, {}))
        super().on_trial_remove(NO_CONTROLLER, stand_in)


def scheduler(
    space: SearchSpace, candidate: Callable[[str], Candidate], added: Added, past: Iterable[FrozenTrial] = ()
) -> TrialScheduler:
    """Return the scheduler that the space asks for: FairASHA, or one that never stops a trial (see there)."""
    if space.search.early_stopping.rule == "none":
        return NeverStops(added)
    return FairASHA(space, candidate, added, past)
