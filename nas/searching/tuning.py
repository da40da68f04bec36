"""Run Ray Tune. It only dispatches the trainings; its files go to a folder that is removed."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from ray import tune

from nas.scratch import scratch_folder
from nas.searching.callbacks import SessionCallback, SessionStopper
from nas.searching.detached import detached
from nas.searching.nodes import RayLost
from nas.searching.searcher import SessionSearcher
from nas.searching.slots import Machine
from nas.searching.stopping import scheduler
from nas.searching.trainable import CandidateTrainable, MakeEvaluator

LOOK_S = 0.1  # seconds between two looks whether the search is to stop
LOST_S = 2.0  # seconds for Tune to end where Ray is lost
LEAVE_S = 10.0  # seconds for Tune to end when the search is to stop: a container is killed 10 s after SIGTERM
MOST_PENDING = 10_000  # trainings that Tune starts at a time: all that the searcher suggests, not one by one


def run_tune(searcher: SessionSearcher, evaluate: MakeEvaluator) -> None:
    """Train the candidates of the searcher's session on its machine until it has no more, or is stopped.

    evaluate  makes the evaluator in the process of each slot

    Tune runs on a thread of its own. If it does not end within LEAVE_S seconds once the search is to stop, as where the
    head node of Ray is gone, it is left alone: the session goes on without it.
    """
    stopped_at = math.inf
    with scratch_folder() as scratch, contextlib.closing(searcher.checkpoints):
        tuning = detached(functools.partial(_tune, searcher, evaluate, scratch))
        try:
            while not tuning.done() and time.monotonic() < stopped_at + (LOST_S if searcher.cluster.lost else LEAVE_S):
                wait([tuning], LOOK_S)
                if searcher.must_stop():
                    stopped_at = min(stopped_at, time.monotonic())
            if tuning.done():
                tuning.result()
        finally:
            searcher.left = True


def _tune(searcher: SessionSearcher, evaluate: MakeEvaluator, scratch: Path) -> None:
    """Run Tune, which writes its files into `scratch`."""
    machine, session = searcher.cluster.machine, searcher.session
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(MOST_PENDING)
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # the study is the record: a state of Tune's own may fill a disk
    trainable = tune.with_parameters(CandidateTrainable, evaluate=evaluate, machine=machine)
    with contextlib.suppress(RayLost):
        tune.Tuner(
            tune.with_resources(trainable, Requests(machine)),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler(session.space, searcher.candidate, searcher.trial_added, session.past),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_trial_id,
                trial_dirname_creator=_trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(scratch),
                stop=SessionStopper(searcher),
                callbacks=[SessionCallback(searcher)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()


class ProcessRequest(tune.PlacementGroupFactory):
    """A request of Tune to Ray for the resources of one process: those of its slots, on its node.

    Requests of two processes are never equal, although they ask for the same. Tune gives an idle process to any trial
    with an equal request, and ends the process that is starting for that trial: with slow starts, no slot but the
    first ones would ever be used.
    """

    def __init__(self, resources: dict[str, float], node: str, process: int) -> None:
        super().__init__([resources], bundle_label_selector=[{"ray.io/node-id": node}])
        self.process = process

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessRequest) and self.process == other.process

    def __hash__(self) -> int:
        return hash(self.process)


class Requests:
    """Returns what a trial asks of Ray: one object for all trials of a process, because Tune keeps it with each."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._made = machine, dict[int, ProcessRequest]()

    def __call__(self, config: dict[str, Any]) -> ProcessRequest:
        process = config["process"]
        if process not in self._made:
            self._made[process] = ProcessRequest(self._machine.resources(config["slots"]), config["node"], process)
        return self._made[process]


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)
