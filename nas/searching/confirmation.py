"""The function `confirm`: the leaders of a run and its baselines, trained again with new seeds, and tested."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import RunError
from nas.searching import environment
from nas.searching.retraining import new_seeds, retrain, retraining_space
from nas.searching.shared_data import shared
from nas.searching.slots import ResourceRequest
from nas.study import Run
from nas.study.attributes import KEY, recorded
from nas.study.confirmation import Confirmation, Network, Plan
from nas.study.quiet import quiet_libraries
from nas.study.retraining import TrainOn
from nas.tasks import Task
from nas.tasks.recipe import Recipe

if TYPE_CHECKING:
    from nas.analysis.confirmed import Confirmed
    from nas.searching.trainable import CandidateEvaluator, MakeEvaluator


def confirm(
    run: Run,
    *,
    top: int = 5,
    by: str | None = None,
    trials: Sequence[int] = (),
    seeds: int = 5,
    recipe: Mapping[str, Any] | None = None,
    train_on: TrainOn = "train",
    time: float | str | None = None,
    slots: int | None = None,
    gpus_per_trial: float | str | None = None,
    gpu_memory: int | str | None = None,
    address: str | None = None,
    evaluate: MakeEvaluator | None = None,
    quiet: bool = False,
) -> Confirmed | None:
    """Train networks of a run from scratch with new seeds, the same for all, test them, and return what they tell.

    The networks are the leaders of the run and every baseline and control that finished. A training that has ended is
    never done again; so the same call goes on where it was stopped. Only here is the test split read: once for each
    training, at its end.

    top, by   how many leaders, and by which column of the leaderboard: the metric is the default; `pareto` or `knee`
              (the members of the Pareto front by their distance to the best value of every objective)
    trials    the numbers of trials to confirm instead of the leaders
    seeds     trainings of each network
    recipe    changes of the recipe of the run: {"epochs": 100}
    train_on  "train", or "train+validation": then the search's order stands, since validation chooses nothing any more
    time, slots, gpus_per_trial, gpu_memory, address, evaluate, quiet: see nas.search

    Writes confirm.json into the folder of the run. After Ctrl-C, or when the time is up, the result tells of what there
    is, and is not complete; None if no training has ended. Raises RunError or SpaceError.
    """
    from nas.analysis.confirmed import confirmed_of, write_confirmed

    environment.prepare(address)
    request = ResourceRequest(slots, gpus_per_trial, gpu_memory)
    with quiet_libraries(), run.lock():
        space = retraining_space(run.space, recipe or {}, time)
        _check(space.task, train_on)
        plan = Plan(
            networks=networks_of(run, top, by, trials),
            seeds=new_seeds(run.space, seeds),
            recipe=space.recipe,
            train_on=train_on,
        )
        train = functools.partial(_make_tested, shared(space.task), space.recipe, train_on == "train+validation")
        retrain(
            Confirmation(run),
            space,
            plan,
            train,
            evaluate=evaluate,
            request=request,
            address=address,
            quiet=quiet,
        )
        found = confirmed_of(run)
        if found is not None:
            write_confirmed(run, found)
    return found


def networks_of(run: Run, top: int, by: str | None, trials: Sequence[int] = ()) -> tuple[Network, ...]:
    """Return the networks to confirm: the leaders or these trials, then the baselines. Raises RunError."""
    from nas.analysis.ranking import leaderboard

    board = leaderboard(run, by=by)
    known = (board["key"] != "") & board["params"].notna()  # a trial that another program added may have neither
    board = board[(board["state"] == "COMPLETE") & known & board["expected"].notna()]
    named = board["name"] != ""
    if trials:
        keys = {recorded(run.trial(number)).get(KEY) for number in trials}
        chosen = board["key"].isin(keys)
        if chosen.sum() < len(keys):
            raise RunError(f"trials {', '.join(map(str, trials))}: only trials that finished can be confirmed")
    else:
        chosen = ~named & ((~named).cumsum() <= top)
    if not (chosen | named).any():
        raise RunError(f"run {run.name!r} has no trial that was trained to the end: there is nothing to confirm")
    metric = run.space.task.metric
    return tuple(
        Network(
            name=row["name"] or f"trial {row['trial']}",
            trial=row["trial"],
            key=row["key"],
            baseline=row["name"] != "",
            searched=row[metric],
            expected=row["expected"],
            params=row["params"],
        )
        for row in board[chosen | named].to_dict("records")
    )


def _check(task: Task, train_on: TrainOn) -> None:
    """Raise RunError if there is nothing to train on."""
    if train_on != "train" and task.results is not None:
        raise RunError(f"train_on={train_on}: the results of task {task.name} come from a {task.results[0]}")


def _make_tested(task: Task, recipe: Recipe, with_validation: bool, *, device: str, threads: int) -> CandidateEvaluator:
    """Make the evaluator that trains and tests. Called in the process of a slot."""
    from nas.training.tested import TestedEvaluator

    return TestedEvaluator(task, recipe, with_validation, device=device, threads=threads)
