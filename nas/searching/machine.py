"""Ray, quietly: a cluster of this machine alone, or one that is there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nas.errors import RunError
from nas.searching import device
from nas.searching.slots import AUTO, Machine, Wanted, divided
from nas.tasks import Splits

ANSWER_S = 600  # in which a node must have said what its GPUs hold, and have read the data


@contextlib.contextmanager
def machine(
    address: str | None, wanted: Wanted, trials: int, load: Callable[[], Splits] | None = None
) -> Iterator[Machine]:
    """Ray, running; ended again where we started it. Raises RunError where it cannot be reached, or not as wanted.

    load  reads the data that lies on a GPU beside every candidate
    """
    import ray

    ours = not ray.is_initialized()
    if ours:
        _start(address)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        known = _asked(nodes, wanted, load) if wanted.gpus_per_trial == AUTO else (None, 0)
        yield divided([node["Resources"] for node in nodes], wanted, trials, *known)
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


def _asked(
    nodes: Sequence[Mapping[str, Any]], wanted: Wanted, load: Callable[[], Splits] | None
) -> tuple[int | None, int]:
    """(bytes of the smallest GPU, bytes that the data takes there): asked on every node, whose GPUs are alike."""
    import ray
    from ray.exceptions import GetTimeoutError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    given = None if wanted.gpu_memory is None else int(wanted.gpu_memory)
    if given is not None and load is None:
        return given, 0
    look = ray.remote(num_cpus=0, num_gpus=0.001, max_calls=1)(device.look)
    asked = [
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(load, given)
        for node in nodes
        if node["Resources"].get("GPU", 0) >= 1
    ]
    try:
        answers = ray.get(asked, timeout=ANSWER_S)
    except GetTimeoutError:
        raise RunError(f"the GPUs have not said in {ANSWER_S} s what they hold: they may be taken by others") from None
    except RayTaskError as error:
        raise RunError(f"what a GPU has to hold is not known: {' '.join(str(error.cause).split())[:200]}") from None
    held = [memory for memory, _ in answers if memory is not None]
    if len(held) < len(answers):
        raise RunError(
            f"gpus_per_trial={AUTO}: torch finds no GPU where Ray has one; say what it holds: gpu_memory=24GiB"
        )
    return min(held, default=None), max((data for _, data in answers), default=0)
