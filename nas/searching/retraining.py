"""Train the networks of a plan again, through Ray, and keep what has ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.searching.machine import ray_machine
from nas.searching.slots import ResourceRequest
from nas.searching.stop_reasons import interrupts, stop_reason
from nas.space import SearchSpace
from nas.study.retraining import Plan, Retraining

if TYPE_CHECKING:
    from nas.searching.trainable import MakeEvaluator


def retraining_space(space: SearchSpace, recipe: Mapping[str, Any], time: float | str | None = None) -> SearchSpace:
    """Return a space with another recipe, in which every training goes to its end. Raises SpaceError."""
    data = space.to_dict()
    search: dict[str, Any] = {"objectives": ["accuracy"], "early_stopping": "none", "constraints": {}, "time": time}
    return SearchSpace.from_dict(data | {"train": data["train"] | dict(recipe), "search": data["search"] | search})


def retrain(
    retraining: Retraining,
    space: SearchSpace,
    plan: Plan,
    *,
    evaluate: MakeEvaluator,
    request: ResourceRequest,
    address: str | None,
    load: bool,
    quiet: bool,
) -> None:
    """Begin the plan, and do its trainings that have not ended, until that is stopped.

    space  that of the run, with the recipe of the plan (`retraining_space`)
    load   whether the slots of a GPU load the data of the task
    """
    from nas.searching.retrain_session import RetrainSession
    from nas.searching.searcher import SessionSearcher
    from nas.searching.training_bar import TrainingBar
    from nas.searching.tuning import run_tune

    retraining.begin(plan)
    session = RetrainSession(retraining, space, plan)
    try:
        if not session.left:
            return
        data = space.task.load if load else None
        with interrupts() as interrupted, ray_machine(address, request, len(session.left), data) as machine:
            stream = None if quiet else sys.stderr
            bar = TrainingBar(retraining.study_name, space.task.metric, session.total, session.ended, stream)
            session.observers = (bar,)
            reason = stop_reason(space.search.time, interrupted)
            searcher = SessionSearcher(session, machine, space.search.timeout, reason)
            with bar:
                run_tune(searcher, evaluate)
    finally:
        session.close()
    if searcher.error is not None:
        raise searcher.error from None
