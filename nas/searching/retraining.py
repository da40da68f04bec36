"""Train the networks of a plan again, through Ray, and keep what has ended."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.searching.machine import ray_cluster
from nas.searching.shared_data import data_of
from nas.searching.slots import ResourceRequest
from nas.searching.stop_reasons import INTERRUPTED, interrupts, stop_reason
from nas.space import SearchSpace
from nas.study.retraining import Plan, Retraining

if TYPE_CHECKING:
    from nas.searching.trainable import MakeEvaluator

NEW_SEEDS = 1000  # after the seed of the search: no topology is evaluated with so many seeds


def retraining_space(space: SearchSpace, recipe: Mapping[str, Any], time: float | str | None = None) -> SearchSpace:
    """Return a space with another recipe, in which every training goes to its end. Raises SpaceError."""
    data = space.to_dict()
    search: dict[str, Any] = {"objectives": ["accuracy"], "early_stopping": "none", "constraints": {}, "time": time}
    return SearchSpace.from_dict(data | {"train": data["train"] | dict(recipe), "search": data["search"] | search})


def new_seeds(space: SearchSpace, count: int) -> tuple[int, ...]:
    """Return so many seeds with which the search evaluates no topology; the same in every call."""
    first = space.search.seed + NEW_SEEDS
    return tuple(range(first, first + count))


def retrain(
    retraining: Retraining,
    space: SearchSpace,
    plan: Plan,
    train: MakeEvaluator,
    *,
    evaluate: MakeEvaluator | None,
    request: ResourceRequest,
    address: str | None,
    quiet: bool,
) -> None:
    """Begin the plan, and do its trainings that have not ended, until that is stopped.

    space     that of the run, with the recipe of the plan (`retraining_space`)
    train     makes what trains networks; it is not used where the task has a table or a function of results
    evaluate  takes the place of all that, if it is given
    """
    from nas import results
    from nas.searching.retrain_session import RetrainSession
    from nas.searching.searcher import SessionSearcher
    from nas.searching.training_bar import TrainingBar
    from nas.searching.tuning import run_tune
    from nas.watching.publisher import draw

    retraining.begin(plan)
    session = RetrainSession(retraining, space, plan)
    try:
        if not session.left:
            return
        if evaluate is None:
            evaluate = train if space.task.results is None else results.evaluator(space.task, space.recipe)
        with (
            interrupts() as interrupted,
            ray_cluster(address, request, len(session.left), data_of(evaluate), interrupted.heed) as cluster,
        ):
            stream = None if quiet else sys.stderr
            bar = TrainingBar(retraining.study_name, space.task.metric, session.total, session.ended, stream)
            session.observers = (bar,)
            reason = stop_reason(space.search.time, interrupted)
            searcher = SessionSearcher(session, cluster, space.search.timeout, reason, space.search.retries)
            with bar:
                run_tune(searcher, evaluate)
            retraining.run.interrupted = interrupted.signal if searcher.stopped == INTERRUPTED else None
    finally:
        session.close()
        if retraining.study is not None:
            with contextlib.suppress(OSError):  # the pictures are for the dashboard alone
                draw(retraining.run, retraining.study.get_trials(deepcopy=False), set())
    if searcher.error is not None:
        raise searcher.error from None
