"""The private parts of Ray that nas uses: if an upgrade of Ray changes one of them, a test here says which."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import ray.cloudpickle
from ray._private import ray_constants
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayError
from ray.tune.experiment import Trial

from nas.searching import compat

CHANGED = f"ray {ray.__version__} changed what nas/searching/compat.py relies on: "
DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: CandidateTrainable
\tactor_id: 0a
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed
by the OOM killer due to high memory usage, (2) ray stop --force was called."""
PROGRAM = f"""
import json, os, signal, sys, tempfile, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nas.searching import environment
environment.prepare()
import ray
from ray import tune
from nas.searching import compat

class Dying(tune.Trainable):
    def setup(self, config):
        self.how = config["how"]
        if self.how == "setup":
            raise ValueError("there is no data")
    def step(self):
        if self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(100)

class Printer(tune.Callback):
    def on_trial_start(self, iteration, trials, trial, **info):
        print(json.dumps({{"how": "actor", "handle": type(compat.actor_of(trial)).__name__}}))
    def on_trial_error(self, iteration, trials, trial, **info):
        crash = compat.crash_of(trial)
        more = {{"detail": crash.detail, "last_line": crash.last_line}}
        print(json.dumps(trial.config | vars(crash) | more))

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
with tempfile.TemporaryDirectory() as folder:
    tune.Tuner(
        tune.with_resources(Dying, {{"cpu": 1}}),
        param_space={{"how": tune.grid_search(sys.argv[1:])}},
        run_config=tune.RunConfig(storage_path=folder, callbacks=[Printer()], verbose=0),
    ).fit()
"""


def run(*how: str, **environment: str) -> dict[str, dict[str, Any]]:
    """Let trials die in a Tune of its own and return what compat says of each: how → {message, detail, …}."""
    command = [sys.executable, "-c", PROGRAM, *how]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=300)
    printed = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert printed, f"the program did not run, for a reason of its own:\n{done.stdout}\n{done.stderr}"
    return {one["how"]: one for one in printed}


def failed(folder: Path, error: RayError, *, pickled: bool) -> Any:
    """Return a stand-in for a trial of Tune that has failed with this error."""
    (folder / "error.txt").write_text(f"Failure # 1\n{error}\n")
    (folder / "error.pkl").write_bytes(ray.cloudpickle.dumps(error))
    return SimpleNamespace(
        error_file=str(folder / "error.txt"), pickled_error_file=str(folder / "error.pkl") if pickled else None
    )


def test_tune_keeps_the_idle_processes_that_it_is_told_to_keep() -> None:
    from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController
    from ray.tune.utils.object_cache import _ObjectCache

    for code, part in (
        (TuneController.__init__, "self._actor_cache"),
        (TrialRunnerWrapper.__init__, "self._tune_controller"),
    ):
        assert part in inspect.getsource(code), CHANGED + part
    cache = _ObjectCache(may_keep_one=True)
    controller = SimpleNamespace(_tune_controller=SimpleNamespace(_actor_cache=cache))
    compat.keep_process(controller, "one", 1)
    compat.keep_process(controller, "other", 1)
    assert [cache.cache_object(request, 0) for request in ("one", "other", "third")] == [True, True, False]
    assert list(cache.flush_cached_objects()) == []
    compat.keep_process(controller, "one", -1)
    assert list(cache.flush_cached_objects()) == [0]


def test_a_trial_can_be_stopped_before_it_begins() -> None:
    from ray.tune.execution.tune_controller import TuneController

    stopped: list[Any] = []
    assert "on_trial_complete" in inspect.getsource(TuneController.stop_trial), CHANGED + "stop_trial"
    controller = SimpleNamespace(_tune_controller=SimpleNamespace(stop_trial=stopped.append))
    compat.stop_trial(controller, "trial")  # type: ignore[arg-type]
    assert stopped == ["trial"]


def test_the_statistics_of_a_trial_can_be_dropped() -> None:
    trial = Trial("name", stub=True)
    trial.run_metadata.update_metric("accuracy", 0.5)
    assert trial.run_metadata.metric_analysis, CHANGED + "Trial.run_metadata"
    compat.forget_metrics(trial)
    assert not trial.run_metadata.metric_analysis
    assert not trial.run_metadata.metric_n_steps


def test_the_actor_of_a_trial() -> None:
    trial = Trial("trainable", stub=True)
    assert compat.actor_of(trial) is None, CHANGED + "a new Trial has an actor in temporary_state.ray_actor"
    actor = SimpleNamespace(get_auto_filled_metrics=SimpleNamespace(remote=lambda **_: None))
    trial.set_ray_actor(actor)
    assert compat.actor_of(trial) is actor, CHANGED + "Trial.set_ray_actor does not set temporary_state.ray_actor"


def test_a_trial_has_files_of_its_error() -> None:
    for name in ("error_file", "pickled_error_file"):
        assert isinstance(getattr(Trial, name, None), property), CHANGED + f"a Trial has no {name}"
    trial: Any = SimpleNamespace(error_file=None, pickled_error_file=None)
    assert compat.crash_of(trial) == compat.Crash("", setup_failed=False, out_of_memory=False)


def test_a_crash_is_read_from_the_pickled_error(tmp_path: Path) -> None:
    error = ActorDiedError()
    error.error_msg = DIED
    crash = compat.crash_of(failed(tmp_path, error, pickled=True))
    assert (crash.message, crash.setup_failed, crash.out_of_memory) == (DIED, False, False)
    assert crash.detail == "Worker unexpectedly exits with a connection error code 2. End of file."


def test_an_error_that_cannot_be_unpickled_is_read_as_text(tmp_path: Path) -> None:
    trial = failed(tmp_path, OutOfMemoryError("the node is running low on memory"), pickled=True)
    assert compat.crash_of(trial).out_of_memory
    Path(trial.pickled_error_file).write_bytes(b"")
    assert compat.crash_of(trial) == compat.Crash(Path(trial.error_file).read_text(), False, True)


@pytest.mark.parametrize("sign", compat.OUT_OF_MEMORY_SIGNS)
def test_a_process_that_was_killed_to_free_memory(tmp_path: Path, sign: str) -> None:
    assert compat.crash_of(failed(tmp_path, OutOfMemoryError(f"it was killed: {sign}"), pickled=False)).out_of_memory


def test_processes_that_die_or_do_not_start() -> None:
    printed = run("die", "setup")
    assert printed["actor"]["handle"] == "ActorHandle", CHANGED + "a running Trial has no actor handle"
    died, setup = printed["die"], printed["setup"]
    assert not died["setup_failed"] and not died["out_of_memory"]
    assert died["detail"].startswith("Worker"), CHANGED + f"the message of ActorDiedError is now {died['message']!r}"
    assert len(died["detail"]) < 200, CHANGED + f"the message of ActorDiedError is now {died['message']!r}"
    assert setup["setup_failed"], CHANGED + "an actor whose setup raises is not actor_init_failed"
    assert setup["last_line"] == "ValueError: there is no data", CHANGED + "the message does not end with the error"


def test_a_process_that_ray_kills_to_free_memory() -> None:
    """Ray believes that a node is full when a thousandth of its memory is used."""
    limits = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "50"}
    killed = run("wait", **limits)["wait"]
    assert killed["out_of_memory"], CHANGED + f"the message of OutOfMemoryError is now {killed['message'][:300]!r}"
    assert not killed["setup_failed"]


def test_a_local_ray_has_the_address_of_the_loopback_interface() -> None:
    """What then listens there: test_connecting.py."""
    with compat.loopback_only():
        inside = ray.util.get_node_ip_address()
    assert inside == "127.0.0.1", CHANGED + "a mode without clusters, ray._private.ray_constants.ENABLE_RAY_CLUSTER"
    assert ray_constants.ENABLE_RAY_CLUSTER, "the mode outlives its block"
