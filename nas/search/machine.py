"""Ray, quietly: a cluster of this machine alone, or one that is there, and how many candidates fit at a time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import RunError


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
    count = slots or gpus or min(cores, max(2, trials // 4))
    share = min(1.0, gpus / count) if gpus else 0.0
    threads = max(1, cores // count)
    cpu = threads if threads * count <= cores else int(1e4 * cores / count) / 1e4
    return Machine(count, {"cpu": cpu} | ({"gpu": int(1e4 * share) / 1e4} if gpus else {}), threads)
