"""Ray, quietly: a cluster of this machine alone, or one that is there, and how many candidates fit at a time."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import RunError

# read by Ray when it is imported or starts
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` every worker would make the environment again
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the old one prints nothing
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of the user stay what they are
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning of what a later Ray will do
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what the raylet says of a dead worker stands in the record
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON, TensorBoard: the study is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver's own stops more gently
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a missing metric is the failure of one candidate, not of Tune
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's own state is not kept
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the reason stands in the record
    "TUNE_WARN_THRESHOLD_S": "60",
}


@dataclass(frozen=True)
class Machine:
    """What candidates are trained on.

    slots      candidates at a time
    resources  what Ray sets aside for each: {cpu, gpu}
    threads    of torch, in each
    """

    slots: int
    resources: Mapping[str, float]
    threads: int


@contextlib.contextmanager
def machine(address: str | None, slots: int | None, trials: int) -> Iterator[Machine]:
    """Ray, running; ended again where we started it. Raises RunError where it cannot be reached."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    ours = not ray.is_initialized()
    if ours:
        _start(address)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield _divided(ray.cluster_resources(), slots, trials)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if ours:
            ray.shutdown()


def _start(address: str | None) -> None:
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    local = {"include_dashboard": False, "object_store_memory": 128 * 2**20}  # results are small
    try:
        ray.init(**quiet, **({"address": address} if address else {"address": "local"} | local))
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        place = f"the Ray cluster at {address}" if address else "Ray"
        raise RunError(f"{place} cannot be used: {' '.join(str(error).split())[:200]}") from None


def _divided(resources: Mapping[str, float], slots: int | None, trials: int) -> Machine:
    """One slot for each GPU; without any, as many slots of one thread as there are cores.

    Two slots of one thread train more candidates than one of two threads. But a sampler that is asked for a quarter
    of all trials at once learns nothing in between: beyond that, a slot gets more threads instead.
    """
    cores, gpus = max(1, int(resources.get("CPU", 1))), int(resources.get("GPU", 0))
    count = slots or gpus or max(1, min(cores, trials // 4))
    share = min(1.0, gpus / count) if gpus else 0.0
    threads = max(1, cores // count)
    cpu = threads if threads * count <= cores else int(1e4 * cores / count) / 1e4
    return Machine(count, {"cpu": cpu} | ({"gpu": int(1e4 * share) / 1e4} if gpus else {}), threads)
