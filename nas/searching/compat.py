"""The parts of Ray that nas uses although they are private or the text of a message, each with the reason.

tests/searching/test_compat.py fails if an upgrade of Ray changes one of them. Callbacks of Tune receive a
ray.tune.experiment.Trial, whose documented attributes (trial_id, last_result) are used without this module.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.cloudpickle
from ray._private import ray_constants
from ray.exceptions import OutOfMemoryError, RayActorError, RayError
from ray.tune.experiment import Trial

# found in Ray's message about a process that it killed because its node had no memory left
OUT_OF_MEMORY_SIGNS = ("running low on memory", "OUT_OF_MEMORY")


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Let a Ray that is started meanwhile listen on the loopback interface alone.

    No argument of ray.init does: it replaces 127.0.0.1 by the address that others reach, and all its servers then
    listen on every interface. Its mode without clusters, the default on Windows and macOS, keeps to 127.0.0.1.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def actor_of(trial: Trial) -> Any:
    """Return the handle of the actor that evaluates a trial; None while it has none.

    No public attribute of a Trial leads to its actor. The handle is needed to kill a candidate that hangs (a Stopper
    is asked only when a result arrives), and to fetch the weights from the process that trained them.
    """
    return trial.temporary_state.ray_actor


def keep_process(controller: Any, request: Any, change: int) -> None:
    """Let Tune keep one more idle process (change 1) that was started for a resource request, or one fewer (-1).

    With `reuse_actors` Tune keeps the process of a trial that has ended only if another trial waits for one at that
    moment, and one besides. If two trials end before the next suggestion, it ends the process of the second, although
    a new one costs seconds. The number that it keeps has no public setting.

    controller  what Tune passes to a scheduler in place of its own controller
    """
    controller._tune_controller._actor_cache.increase_max(request, change)


def stop_trial(controller: Any, trial: Trial) -> None:
    """Stop a trial whose process has not started, and never will; the callbacks of Tune hear that it is complete.

    A Stopper is asked only when a result arrives, and Tune takes no notice of `request_stop_trial`.
    """
    controller._tune_controller.stop_trial(trial)


def forget_metrics(trial: Trial) -> None:
    """Drop the statistics that Tune keeps for every item of the results of a trial: 25 KiB, until the search ends."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()


@dataclass(frozen=True)
class Crash:
    """The death of a process that was to evaluate a candidate.

    message        the message of Ray, of several lines
    setup_failed   whether the process could not be started, so that no other candidate could use it
    out_of_memory  whether Ray killed it because its node had no memory left
    """

    message: str
    setup_failed: bool
    out_of_memory: bool

    @property
    def detail(self) -> str:
        """The one sentence of the message that says how the process died.

        Ray has no attribute for it: ActorDiedError.error_msg is a text with the ids of the process, the sentence and
        a list of common causes.
        """
        after = self.message.rpartition("Worker exit detail:")[2]
        return " ".join(after.partition("Some common causes")[0].split())

    @property
    def last_line(self) -> str:
        """The last line of the message; of a traceback it is the exception."""
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        return lines[-1] if lines else "?"


def crash_of(trial: Trial) -> Crash:
    """Return why the process of a trial died.

    A callback is given the trial but not the exception, and Trial.get_pickled_error() finds it only after Tune has
    copied its files to the storage. So it is read from the files of the trial. Tune pickles an error of an actor or a
    task alone; of an OutOfMemoryError, which is neither, it keeps the text.
    """
    error = _pickled_error(trial)
    message = str(error) if error is not None else _error_text(trial)
    killed = isinstance(error, OutOfMemoryError) or any(sign in message for sign in OUT_OF_MEMORY_SIGNS)
    return Crash(message, isinstance(error, RayActorError) and error.actor_init_failed, killed)


def _pickled_error(trial: Trial) -> RayError | None:
    """Return the exception of a trial; None if Tune has not pickled it, or if it cannot be unpickled here."""
    path = trial.pickled_error_file
    if path is None:
        return None
    try:
        error = ray.cloudpickle.loads(Path(path).read_bytes())
    except (OSError, EOFError, ImportError, AttributeError, TypeError, pickle.UnpicklingError):
        return None
    return error if isinstance(error, RayError) else None


def _error_text(trial: Trial) -> str:
    path = trial.error_file
    return "" if path is None else Path(path).read_text(errors="replace")
