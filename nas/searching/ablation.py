"""The function `ablate`: a network without each of its skips, and with other kinds in their place."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from nas.errors import RunError
from nas.searching import environment
from nas.searching.retraining import new_seeds, retrain, retraining_space
from nas.searching.shared_data import shared
from nas.searching.slots import ResourceRequest
from nas.study import Run
from nas.study.ablation import LESION, Ablation, Plan, Variant
from nas.study.quiet import quiet_libraries
from nas.tasks import Task
from nas.tasks.recipe import Recipe
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.analysis.ablated import Ablated
    from nas.searching.trainable import CandidateEvaluator, MakeEvaluator


def ablate(
    run: Run,
    topology: Topology | None = None,
    *,
    name: str = "",
    replace: bool = True,
    seeds: int = 5,
    recipe: Mapping[str, Any] | None = None,
    time: float | str | None = None,
    slots: int | None = None,
    gpus_per_trial: float | str | None = None,
    gpu_memory: int | str | None = None,
    address: str | None = None,
    evaluate: MakeEvaluator | None = None,
    quiet: bool = False,
) -> Ablated | None:
    """Train a network without each of its skips, and with each other kind in its place, and return what they tell.

    Every change is trained from scratch, with the same new seeds as the whole network, and measured on validation; it
    is also made in the trained network, as far as the weights fit. Then the network without all skips that do nothing
    is trained. A training that has ended is never done again.

    topology  a network of the space of the run; its winner unless given
    name      what the network is called
    replace   whether skips are replaced by the other short kinds of the space, too, and not only removed
    seeds     trainings of each network
    recipe    changes of the recipe of the run: {"epochs": 100}
    time, slots, gpus_per_trial, gpu_memory, address, evaluate, quiet: see nas.search

    Writes ablate.json into the folder of the run. After Ctrl-C, or when the time is up, the result tells of what there
    is, and is not complete; None if no training has ended. Raises RunError or SpaceError.
    """
    from nas.analysis.ablated import ablated_of, write_ablated

    environment.prepare(address)
    request = ResourceRequest(slots, gpus_per_trial, gpu_memory)
    with quiet_libraries(), run.lock():
        space = retraining_space(run.space, recipe or {}, time)
        networks = _variants(run, topology, name, replace)
        plan = Plan(networks=networks, seeds=new_seeds(run.space, seeds), recipe=space.recipe)
        make = functools.partial(_make_lesioned, shared(space.task), space.recipe, plan.whole.key, _changes(plan))
        train = functools.partial(
            retrain, Ablation(run), space, train=make, evaluate=evaluate, request=request, address=address, quiet=quiet
        )
        train(plan=plan)
        found = ablated_of(run)
        if found is not None and found.complete and found.needless:
            train(plan=_with_simplified(run, plan, found.needless))
            found = ablated_of(run)
        if found is not None:
            write_ablated(run, found)
    return found


def _variants(run: Run, topology: Topology | None, name: str, replace: bool) -> tuple[Variant, ...]:
    """Return the whole network and its changes, each key once. Raises RunError if there is nothing to change."""
    if topology is None:
        number = run.winner
        if number is None:
            raise RunError(f"run {run.name!r} has no trial that was trained to the end: there is nothing to ablate")
        topology, name = run.topology(number), name or f"trial {number}"

    found = {topology.key: _variant(run, topology, name or "the network")}
    for change in run.space.skip_changes(topology):
        if change.after == "none" or replace:
            told = f"{change.place} {change.before} → {change.after}"
            about = {"place": change.place, "before": change.before, "after": change.after}
            found.setdefault(change.topology.key, _variant(run, change.topology, told, **about))
    if len(found) == 1:
        raise RunError(f"{name or 'the network'} has no skip that its space allows to remove or to replace")
    return tuple(found.values())


def _variant(run: Run, topology: Topology, name: str, **change: str) -> Variant:
    from nas.cost import predict

    params = predict(topology, run.space.recipe)["params"]
    return Variant(name=name, key=topology.key, params=params, topology=topology.to_dict(), **change)


def _with_simplified(run: Run, plan: Plan, needless: Collection[str]) -> Plan:
    """Return the plan with the network that has no skip in these places."""
    topology = run.space.without(Topology.from_dict(plan.whole.topology), needless)
    known = any(one.key == topology.key for one in plan.networks)
    more = () if known else (_variant(run, topology, "without what does nothing"),)
    return plan.model_copy(update={"networks": (*plan.networks, *more), "simplified": topology.key})


def enqueue(run: Run, topology: Topology) -> None:
    """Let the next session of the search train the topology first."""
    run.study.enqueue_trial(dict(run.space.encode(topology)), skip_if_exists=True)


def _changes(plan: Plan) -> dict[str, Topology]:
    """Return the name under which each change of the trained network is measured → its topology."""
    return {f"{LESION}{one.key}": Topology.from_dict(one.topology) for one in plan.networks[1:]}


def _make_lesioned(
    task: Task, recipe: Recipe, whole: str, changes: Mapping[str, Topology], *, device: str, threads: int
) -> CandidateEvaluator:
    """Make the evaluator that trains, and changes what it trained. Called in the process of a slot."""
    from nas.training.lesioned import LesionedEvaluator

    return LesionedEvaluator(task, recipe, whole, changes, device=device, threads=threads)
