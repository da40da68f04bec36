"""search(): from a space to a run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import signal
import sys
import tempfile
import threading
import time as clock
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from nas.errors import RunError, SpaceError
from nas.searching import environment
from nas.searching.machine import machine
from nas.searching.slots import Machine, Wanted
from nas.space import SearchSpace
from nas.study import Run
from nas.study.folder import ROOT
from nas.tasks import Task
from nas.tasks.recipe import Recipe
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.searching.bridge import Bridge
    from nas.searching.trainable import Evaluator, MakeEvaluator


INTERRUPTED = "interrupted"


def search(
    space: SearchSpace | None = None,
    *,
    name: str | None = None,
    resume: str | Path | None = None,
    trials: int | None = None,
    time: float | str | None = None,
    slots: int | None = None,
    gpus_per_trial: float | str | None = None,
    gpu_memory: int | str | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    baselines: Mapping[str, Topology] | None = None,
    reuse: Sequence[str | Path] = (),
    storage: str | None = None,
    root: Path | str = ROOT,
    address: str | None = None,
    evaluate: MakeEvaluator | None = None,
    quiet: bool = False,
) -> Run:
    """Train candidates of `space` until `trials` of them have finished; everything is kept in the run.

    name, root      the run is root/name
    resume          a run to go on with, instead of a space: what has finished is kept, what was running starts again
    trials          in all, over every session of the run
    time            seconds, or 90s, 30m, 2h; then the search stops as with Ctrl-C
    slots           candidates at a time; the default follows from the machine
    gpus_per_trial  "auto" for the part of a GPU that the memory predicted for each asks for (nas.searching.packing), or
                    a number up to 1; the default is one GPU for each
    gpu_memory      with "auto", bytes of each GPU that are for this search (or "24GiB"); the default is all of it
    sampler         a name of nas.sampling.samplers.SAMPLERS
    seed            of the sampler and of every candidate
    baselines       name → topology, tried first beside those of the space; none needs to be a point of it
    reuse           runs of the same task and recipe: a topology that one of them finished has that result, is not
                    trained and does not count; for this session alone
    storage         the URL of an Optuna storage; the default is SQLite in the run's folder
    address         of a Ray cluster; the default is this machine alone
    evaluate        what evaluates instead of nas.training.Evaluator, or of the task's results: called with device=
                    and threads= in every slot
    quiet           no display

    Ctrl-C stops the search: what is running waits in the record for the next session, and run.interrupted says so.
    Raises RunError, SpaceError, TaskError.
    """
    environment.prepare()
    changes = {"trials": trials, "sampler": sampler, "time": time, "seed": seed}
    changes = {name: value for name, value in changes.items() if value is not None}
    wanted = Wanted(slots, gpus_per_trial, gpu_memory)
    if (space is None) == (resume is None):
        raise RunError("a search takes a space, or a run to resume: one of the two")
    with _quiet_libraries():
        _check_ends(baselines or {}, space or Run.open(resume, root).space)
        if space is not None:
            space = _settled(_changed(space, changes))
            evaluate = evaluate or _evaluation(space)
            others = _others(reuse, root, space)
            run = Run.create(space, name, root, storage)
        else:
            run = Run.open(resume, root)
            evaluate = evaluate or _evaluation(run.space)
            others = _others(reuse, root, run.space)
            if storage is not None and storage != run.storage_url:
                raise RunError(f"run {run.name!r} has its storage already: storage is only for a new run")
            run.update(_changed(run.space, changes))
        with run.lock():
            _search(run, wanted, address, evaluate, quiet, baselines, others)
    return run


def _changed(space: SearchSpace, changes: dict[str, Any]) -> SearchSpace:
    """The space with other search settings, checked as those of a file are."""
    if not changes:
        return space
    data = space.to_dict()
    return dataclasses.replace(SearchSpace.from_dict(data | {"search": data["search"] | changes}), source=space.source)


def _settled(space: SearchSpace) -> SearchSpace:
    """The space with a precision: one for all candidates, wherever they are trained, and in the record."""
    if space.recipe.precision != "auto":
        return space
    import torch

    from nas.training.precision import resolve_precision

    recipe = resolve_precision(space.recipe, "cuda" if torch.cuda.is_available() else "cpu")
    data = space.to_dict() | {"train": recipe.model_dump()}
    return dataclasses.replace(SearchSpace.from_dict(data), source=space.source)


def _check_ends(baselines: Mapping[str, Topology], space: SearchSpace) -> None:
    """Raises SpaceError for a baseline that cannot read the task's data."""
    task = space.task
    for name, topology in baselines.items():
        if (topology.input, topology.outputs) != (task.input, task.outputs):
            raise SpaceError(
                f"baseline {name!r}: {task.name} has inputs of {task.input} and {task.outputs} outputs, "
                f"but its network has {topology.input} and {topology.outputs}"
            )


def _others(names: Sequence[str | Path], root: Path | str, space: SearchSpace) -> list[Run]:
    """The runs whose results are to be reused. Raises RunError where they cannot be."""
    from nas.study.reuse import check

    runs = [Run.open(name, root) for name in names]
    for run in runs:
        check(run, space)
    return runs


def _search(
    run: Run,
    wanted: Wanted,
    address: str | None,
    evaluate: MakeEvaluator,
    quiet: bool,
    baselines: Mapping[str, Topology] | None,
    reuse: Sequence[Run],
) -> None:
    """One session of a run."""
    from nas.searching.bridge import Bridge
    from nas.searching.display import display
    from nas.searching.progress import Progress
    from nas.searching.session import Session

    space, settings = run.space, run.space.search
    price = functools.partial(_price, recipe=space.recipe)
    session = Session(run, price, settings.trials, baselines=baselines, reuse=reuse)
    try:
        if session.finished >= settings.trials:
            return
        ours = getattr(evaluate, "func", None) is _evaluator  # what another one keeps on a GPU, nobody knows
        load = space.task.load if ours else None
        with _interrupts() as interrupted, machine(address, wanted, settings.trials, load) as place:
            progress = Progress(space, settings.trials, session.finished, place.slots)
            progress.recall(session.past)
            screen = display(progress, run.name, None if quiet else sys.stderr)
            session.watchers = (progress, screen)
            bridge = Bridge(session, place, settings.timeout, _reason_to_stop(settings.time, interrupted))
            with screen:
                _tune(bridge, place, space, evaluate)
                screen.why = _ending(bridge, run)
                run.interrupted = bridge.stopped == INTERRUPTED
    finally:
        session.close()
    if bridge.error is not None:
        raise bridge.error from None


def _ending(bridge: Bridge, run: Run) -> str:
    """Why the search is over, and what to do where it is not."""
    if bridge.error is not None:
        return "stopped by an error"
    if bridge.stopped is None:
        return bridge.session.over or "all trials are finished"
    return f"{bridge.stopped}; nas search --resume {run.name} goes on"


def _price(topology: Topology, recipe: Recipe) -> dict[str, int]:
    from nas.cost import measure

    cost = measure(topology, recipe)
    return {"params": cost.params, "flops": cost.flops, "memory": cost.memory}


def _evaluation(space: SearchSpace) -> MakeEvaluator:
    """How candidates are evaluated: trained, unless the task has a table or a function. Raises TaskError."""
    if space.task.results is None:
        return functools.partial(_evaluator, space.task, space.recipe, timed=space.search.times_latency)
    from nas import results

    return results.evaluator(space.task, space.recipe)


def _evaluator(task: Task, recipe: Recipe, *, timed: bool, device: str, threads: int) -> Evaluator:
    """Made in the process of a slot."""
    from nas.training.evaluate import Evaluator

    return Evaluator(task, recipe, device=device, threads=threads, timed=timed)


def _tune(bridge: Bridge, place: Machine, space: SearchSpace, evaluate: MakeEvaluator) -> None:
    """Ray Tune as the dispatcher and no more: its files go to a folder that is removed."""
    from ray import tune

    from nas.searching.bridge import Events, Halt
    from nas.searching.stopping import scheduler
    from nas.searching.trainable import Slot

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(place.most)  # all start at once, not one after the other
    slot = tune.with_parameters(Slot, evaluate=evaluate, place=place)
    with tempfile.TemporaryDirectory(prefix="nas-") as scratch:
        tune.Tuner(
            tune.with_resources(slot, lambda config: tune.PlacementGroupFactory([place.resources(config["slots"])])),
            tune_config=tune.TuneConfig(
                search_alg=bridge,
                scheduler=scheduler(space, bridge.candidate, bridge.session.past),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_trial_id,
                trial_dirname_creator=_trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                stop=Halt(bridge),
                callbacks=[Events(bridge)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Set by the first SIGINT or SIGTERM; the second interrupts whatever runs."""
    interrupted = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason_to_stop(seconds: float | None, interrupted: threading.Event) -> Callable[[], str | None]:
    """Asked again and again: why to stop now, or None."""
    end = math.inf if seconds is None else clock.monotonic() + seconds

    def reason() -> str | None:
        if interrupted.is_set():
            return INTERRUPTED
        return f"the time is up ({seconds:g} s)" if clock.monotonic() > end else None

    return reason


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Optuna and Ray say nothing that the display does not say better."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(ray|optuna)\.")
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
