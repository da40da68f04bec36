"""The function `search`: from a search space to a finished run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import RunError, SpaceError
from nas.searching import environment
from nas.searching.joining import check_joining, member_of_search
from nas.searching.machine import ray_cluster
from nas.searching.shared_data import data_of, shared
from nas.searching.slots import ResourceRequest
from nas.searching.stop_reasons import INTERRUPTED, interrupts, stop_reason
from nas.space import SearchSpace
from nas.space.quantities import duration
from nas.study import Run
from nas.study.folder import ROOT
from nas.study.quiet import quiet_libraries
from nas.tasks import Task
from nas.tasks.recipe import Recipe
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.searching.display import LineDisplay
    from nas.searching.search_log import SearchLog
    from nas.searching.searcher import SessionSearcher
    from nas.searching.trainable import CandidateEvaluator, MakeEvaluator
    from nas.searching.watch import Watch
    from nas.study.membership import Membership


def search(
    space: SearchSpace | None = None,
    *,
    name: str | None = None,
    resume: str | Path | None = None,
    join: str | Path | None = None,
    trials: int | None = None,
    time: float | str | None = None,
    slots: int | None = None,
    gpus_per_trial: float | str | None = None,
    gpu_memory: int | str | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    pairs: float | None = None,
    baselines: Mapping[str, Topology] | None = None,
    reuse: Sequence[str | Path] = (),
    storage: str | None = None,
    storage_timeout: float | str | None = None,
    root: Path | str = ROOT,
    address: str | None = None,
    evaluate: MakeEvaluator | None = None,
    only_pilot: bool = False,
    log_json: str | Path | None = None,
    quiet: bool = False,
) -> Run:
    """Search `space` for the best topologies until `trials` candidates were trained, and return the run.

    Everything is kept in the run: its folder and its study. A candidate that is over the limits, or whose result
    another run has, does not count as one of the trials.

    space           the search space; None if a run is resumed
    name, root      the run is the folder root/name; the default name is that of the space with the time
    resume          the name or the folder of a run to go on with, instead of a space: its finished trials are kept,
                    and those that were running go on from their checkpoints, or start again
    join            the name or the folder of a run to search together with the processes that search it now, on this
                    machine or on others (nas.study.membership): its settings stay, and no topology is trained twice.
                    From another machine it may be a copy of the folder, if its storage can be reached
    trials          how many trials the run is to have in the end, over all its sessions; the default is that of the
                    space
    time            seconds, or a text such as 90s, 30m, 2h, after which the search stops as with Ctrl-C
    slots           candidates at a time; the default follows from the GPUs, or from the cores (nas.searching.slots)
    gpus_per_trial  a number up to 1; "auto" for the share of a GPU that the predicted memory of each candidate needs
                    (nas.searching.packing); by default each candidate has a GPU
    gpu_memory      with "auto": bytes of each GPU that this search may use, or a text such as 24GiB; by default all
    sampler         a name in nas.sampling.named.SAMPLERS; the default is that of the space
    seed            of the sampler and of every candidate; the default is that of the space
    pairs           the share of the trials that are one-block changes of the leaders; the default is that of the space
    baselines       name → topology, tried first besides those of the space; they need not be points of the space
    reuse           names or folders of runs of the same task and recipe: a topology that one of them has finished
                    gets that result and is not trained; for this session alone
    storage         the URL of an Optuna storage for a new run; the default is SQLite in the run's folder. Of a run that
                    is resumed it is the same URL, with the password
    storage_timeout seconds, or a text such as 30s, 10m, for which results wait in memory while the storage is locked
                    or does not answer; the default is 10 minutes. Then the search stops, and what is left goes into
                    the journal of the run, which the next session writes first
    address         of a Ray cluster; the default is this machine alone
    evaluate        called with device= and threads= in the process of each slot, returns what evaluates candidates
                    (nas.searching.trainable.CandidateEvaluator); by default they are trained
                    (nas.training.evaluate.Evaluator), or looked up if the task has a table or a function of results
    only_pilot      whether the search stops after its baselines and its pilot (nas.searching.pilot); it can be resumed
    log_json        a file to which every event is appended as a line of JSON (nas.searching.event_log); "-" is stdout
    quiet           whether nothing is shown on stderr

    After Ctrl-C, SIGTERM or SIGHUP the trials that were running wait for the next session, and run.interrupted is the
    signal (nas.searching.stop_reasons says what the next one does).
    Raises RunError, SpaceError or TaskError.
    """
    environment.prepare(address)
    changes = {"trials": trials, "sampler": sampler, "time": time, "seed": seed, "pairs": pairs}
    changes = {name: value for name, value in changes.items() if value is not None}
    outage_s = None if storage_timeout is None else _seconds(storage_timeout)
    request = ResourceRequest(slots, gpus_per_trial, gpu_memory)
    if sum(one is not None for one in (space, resume, join)) != 1:
        raise RunError("a search takes a space, or a run to resume or to join: one of them")
    earlier = join if resume is None else resume
    if join is not None:
        check_joining(changes, baselines=baselines, only_pilot=only_pilot)
    with quiet_libraries():
        given = space or Run.open(earlier, root).space
        _check_baselines(baselines or {}, given)
        logs = _logs(log_json, given)
        if space is not None:
            space = _with_precision(_changed(space, changes))
            evaluate = evaluate or _evaluation(space)
            reused = _reused_runs(reuse, root, space)
            run = Run.create(space, name, root, storage)
        else:
            run = Run.open(earlier, root)
            evaluate = evaluate or _evaluation(run.space)
            reused = _reused_runs(reuse, root, run.space)
            if storage is not None:
                run.log_in(storage)
        searched = _changed(run.space, changes)
        with run.lock(shared=True), member_of_search(run, searched, join=join is not None) as membership:
            if membership.others:
                run.space = searched  # run.yaml and the study belong to those who were there before
            else:
                run.update(searched)
            _run_session(
                run, membership, request, address, evaluate, logs, quiet, baselines, reused, only_pilot, outage_s
            )
    return run


def _seconds(time: float | str) -> float:
    """Return a time in seconds. Raises RunError."""
    try:
        return duration(time)
    except ValueError as error:
        raise RunError(f"--storage-timeout {error}") from None


def _changed(space: SearchSpace, changes: dict[str, Any]) -> SearchSpace:
    """Return the space with other search settings, which are checked like those of a file."""
    if not changes:
        return space
    data = space.to_dict()
    return dataclasses.replace(SearchSpace.from_dict(data | {"search": data["search"] | changes}), source=space.source)


def _with_precision(space: SearchSpace) -> SearchSpace:
    """Return the space with a definite precision instead of "auto".

    It is decided once, here, so that it is the same for all candidates wherever they are trained, and is recorded.
    """
    if space.recipe.precision != "auto":
        return space
    import torch

    from nas.training.precision import resolve_precision

    recipe = resolve_precision(space.recipe, "cuda" if torch.cuda.is_available() else "cpu")
    data = space.to_dict() | {"train": recipe.model_dump()}
    return dataclasses.replace(SearchSpace.from_dict(data), source=space.source)


def _check_baselines(baselines: Mapping[str, Topology], space: SearchSpace) -> None:
    """Raise SpaceError if a baseline has other inputs or outputs than the task."""
    task = space.task
    for name, topology in baselines.items():
        if (topology.input, topology.outputs) != (task.input, task.outputs):
            raise SpaceError(
                f"baseline {name!r}: {task.name} has inputs of {task.input} and {task.outputs} outputs, "
                f"but its network has {topology.input} and {topology.outputs}"
            )


def _logs(log_json: str | Path | None, space: SearchSpace) -> list[SearchLog]:
    """Return the logs that the search writes. Raises RunError or SpaceError if one cannot be written."""
    from nas.searching.event_log import open_event_log
    from nas.searching.loggers import loggers

    return [*loggers(space.search.log_to), *([] if log_json is None else [open_event_log(log_json)])]


def _reused_runs(names: Sequence[str | Path], root: Path | str, space: SearchSpace) -> list[Run]:
    """Return the runs whose results are to be reused. Raises RunError if they cannot be."""
    from nas.study.reuse import check_reusable

    runs = [Run.open(name, root) for name in names]
    for run in runs:
        check_reusable(run, space)
    return runs


def _run_session(
    run: Run,
    membership: Membership,
    request: ResourceRequest,
    address: str | None,
    evaluate: MakeEvaluator,
    logs: Sequence[SearchLog],
    quiet: bool,
    baselines: Mapping[str, Topology] | None,
    reuse: Sequence[Run],
    only_pilot: bool,
    outage_s: float | None,
) -> None:
    """Search until all trials of the run are finished, or until the search is stopped."""
    from nas.results import depends_on_seed
    from nas.searching.display import make_display, starting
    from nas.searching.progress import Progress
    from nas.searching.search_log import logged
    from nas.searching.searcher import SessionSearcher
    from nas.searching.session import Session
    from nas.searching.tuning import run_tune
    from nas.searching.watch import Watch

    space, settings, stream = run.space, run.space.search, None if quiet else sys.stderr
    predict_cost = functools.partial(_predict_cost, recipe=space.recipe)
    membership.greet()
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as preparation:
        session = Session(
            run,
            predict_cost,
            settings.trials,
            baselines=baselines,
            reuse=reuse,
            seeded=depends_on_seed(evaluate),
            only_pilot=only_pilot,
            storage_timeout=outage_s,
            membership=membership,
        )
        interrupted = stack.enter_context(interrupts())
        afterwards = stack.enter_context(contextlib.ExitStack())  # once the session is closed
        session.writer.outage.hurry = interrupted
        stack.callback(session.close)
        if session.replayed and stream is not None:
            print(f"{run.name}: {session.replayed} results of the journal are in the record now", file=stream)
        if session.is_over:
            membership.ending = "all trials are finished"
            return
        preparation.enter_context(starting(run.name, address, stream))
        data = data_of(evaluate)  # what another evaluator keeps on a GPU is unknown
        cluster = stack.enter_context(ray_cluster(address, request, settings.trials, data, interrupted.heed))
        progress = Progress(space, settings.trials, session.finished, cluster.machine.slots)
        progress.recall(session.past)
        display = make_display(progress, run.name, stream)
        session.observers = (progress, display, *logs)
        reason = stop_reason(settings.time, interrupted)
        searcher = SessionSearcher(session, cluster, settings.timeout, reason, settings.retries)
        preparation.close()
        watch = Watch(session, searcher, progress)
        afterwards.callback(_publish_the_rest, watch, display)
        with logged(logs, run) as log, display, watch:
            run_tune(searcher, evaluate)
            display.ending = log.ending = watch.ended = _ending(searcher, session.exhausted, run)
            run.interrupted = interrupted.signal if searcher.stopped == INTERRUPTED else None
    if searcher.error is not None:
        raise searcher.error from None
    membership.confirm()


def _publish_the_rest(watch: Watch, display: LineDisplay) -> None:
    """Publish the end of a search, and say what could not be written."""
    watch.end()
    if watch.error is not None:
        display.print(f"in the dashboard something is missing: {watch.error}")


def _ending(searcher: SessionSearcher, exhausted: str | None, run: Run) -> str:
    """Return why the search is over, and how to go on if it is not."""
    stopped = "stopped by an error" if searcher.error is not None else searcher.stopped
    if stopped is None:
        return exhausted or "all trials are finished"
    return f"{stopped}; nas search --resume {run.name} goes on"


def _predict_cost(topology: Topology, recipe: Recipe) -> dict[str, int]:
    """Return the value of every objective that is known before training."""
    from nas.cost import predict

    return predict(topology, recipe)


def _evaluation(space: SearchSpace) -> MakeEvaluator:
    """Return what makes the evaluators: candidates are trained, unless the task has a table or a function of results.

    Raises TaskError.
    """
    if space.task.results is None:
        task, with_latency = shared(space.task), space.search.times_latency
        return functools.partial(_make_evaluator, task, space.recipe, with_latency=with_latency)
    from nas import results

    return results.evaluator(space.task, space.recipe)


def _make_evaluator(task: Task, recipe: Recipe, *, with_latency: bool, device: str, threads: int) -> CandidateEvaluator:
    """Make the evaluator that trains candidates. Called in the process of a slot."""
    from nas.training.evaluate import Evaluator

    return Evaluator(task, recipe, device=device, threads=threads, with_latency=with_latency)
