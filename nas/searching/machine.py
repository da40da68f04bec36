"""The machine that Ray offers to a search: this one, or a cluster, without the log output of Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from nas.errors import RunError, message_of
from nas.searching import gpu
from nas.searching.cluster import Cluster
from nas.searching.connecting import started_ray
from nas.searching.nodes import Node, NodeWatch
from nas.searching.shared_data import SharedData
from nas.searching.slots import AUTO, ResourceRequest, divide_into_slots

ANSWER_S = 600  # seconds for a node to report the memory of its GPUs and to read the data


@contextlib.contextmanager
def ray_cluster(
    address: str | None,
    request: ResourceRequest,
    trials: int,
    data: SharedData | None = None,
    heed: Callable[[], None] = lambda: None,
) -> Iterator[Cluster]:
    """Yield the devices that Ray offers to a search of so many trials.

    address  of a Ray cluster; None starts Ray on this machine
    data     is read by every process, and stays on a GPU beside every candidate; None if there is none
    heed     handles the signals (see nas.searching.connecting)

    A Ray that runs in this process already is used and left running. Raises RunError if Ray cannot be reached, or if
    it does not have what is requested.
    """
    import ray

    elastic = ray.is_initialized() or address is not None
    sent = 0 if elastic or data is None else data.nbytes
    with started_ray(address, heed, sent), NodeWatch(elastic=elastic) as watch:
        nodes = watch.nodes
        packed = request.gpus_per_trial == AUTO
        gpu_bytes, data_bytes = _inspect_gpus(nodes, request, data) if packed else (None, 0)
        resources = {name: node.resources for name, node in nodes.items()}
        yield Cluster(divide_into_slots(resources, request, trials, gpu_bytes, data_bytes), watch)


def _inspect_gpus(
    nodes: Mapping[str, Node], request: ResourceRequest, data: SharedData | None
) -> tuple[int | None, int]:
    """Return the bytes of the smallest GPU, and the bytes that the data takes there.

    One process on each node looks at one GPU, since the GPUs of a node are alike; it reads the data, if only nodes can.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    given = None if request.gpu_memory is None else int(request.gpu_memory)
    known = 0 if data is None or data.splits is None else gpu.resident_bytes(data.splits)
    load = None if data is None or known else data.load
    if given is not None and load is None:
        return given, known
    inspect = ray.remote(num_cpus=0, num_gpus=0.001, max_calls=1)(gpu.inspect)
    on_node = [
        inspect.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False))
        for name, node in nodes.items()
        if node.resources.get("GPU", 0) >= 1
    ]
    try:
        answers = ray.get([task.remote(load, given) for task in on_node], timeout=ANSWER_S)
    except GetTimeoutError:
        raise RunError(
            f"the GPUs did not report their memory within {ANSWER_S} s: other processes may be using them"
        ) from None
    except RayTaskError as error:
        raise RunError(f"the memory of a GPU or of its data is unknown: {message_of(error.cause, 200)}") from None
    held = [memory for memory, _ in answers if memory is not None]
    if len(held) < len(answers):
        raise RunError(
            f"gpus_per_trial={AUTO}: torch finds no GPU where Ray has one; give its memory: gpu_memory=24GiB"
        )
    return min(held, default=None), max((size for _, size in answers), default=0) + known
