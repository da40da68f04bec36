"""Divide GPUs and cores into slots, as the user asks for. Does not import Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.errors import RunError
from nas.searching.packing import CONTEXT_BYTES, MAX_PER_GPU, PROCESS_BYTES, Device
from nas.space import quantities

AUTO = "auto"

Node = Mapping[str, float]  # the resources of a node: CPU, GPU, memory (bytes)


@dataclass(frozen=True)
class ResourceRequest:
    """The resources that a user asks for. Raises RunError if they make no sense.

    slots           candidates at a time; None for as many as fit
    gpus_per_trial  share of a GPU: a number up to 1; "auto" for what each candidate is predicted to need; None to
                    divide the GPUs evenly
    gpu_memory      bytes of each GPU that this search may use, or a text such as 24GiB; None for all
    """

    slots: int | None = None
    gpus_per_trial: float | str | None = None
    gpu_memory: int | str | None = None

    def __post_init__(self) -> None:
        share, memory = self.gpus_per_trial, self.gpu_memory
        if self.slots is not None and self.slots < 1:
            raise RunError(f"slots >= 1 must hold, but got {self.slots}")
        if share is not None and share != AUTO:
            object.__setattr__(self, "gpus_per_trial", _fraction(share))
        if memory is not None and share != AUTO:
            raise RunError(f"gpu_memory needs gpus_per_trial={AUTO}, but that is {share or 'not given'}")
        if memory is not None:
            try:
                object.__setattr__(self, "gpu_memory", quantities.memory(memory))
            except ValueError as error:
                raise RunError(f"gpu_memory {error}") from None


def _fraction(value: float | str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0.001 <= share <= 1:
        raise RunError(f"gpus_per_trial must be {AUTO} or a number from 0.001 to 1, but got {value!r}")
    return share


@dataclass(frozen=True)
class Machine:
    """The devices that train the candidates of a search, on one node or on several.

    device          the size of a device: a GPU, or a node if there is no GPU
    capacity        the slots of each device
    max_candidates  candidates at a time
    cores           CPU cores of a slot
    gpu             whether a device is a GPU
    """

    device: Device
    capacity: tuple[int, ...]
    max_candidates: int
    cores: float
    gpu: bool = False

    @property
    def slots(self) -> int:
        """The slots of all devices."""
        return sum(self.capacity)

    def resources(self, slots: int) -> dict[str, float]:
        """Return what Ray reserves for a candidate that takes so many slots: {"CPU": …, "GPU": …}."""
        gpu = {"GPU": _floor(slots / self.device.slots)} if self.gpu else {}
        return {"CPU": _floor(slots * self.cores)} | gpu

    def threads(self, slots: int) -> int:
        """Return the number of torch's threads for a candidate that takes so many slots."""
        return max(1, int(slots * self.cores))

    def memory_limit(self, slots: int) -> int | None:
        """Return how many bytes of a GPU torch may allocate for so many slots; None for no limit."""
        memory = self.device.memory
        if not self.gpu or memory is None:
            return None
        return memory if slots == self.device.slots else slots * memory // self.device.slots - CONTEXT_BYTES


def divide_into_slots(
    nodes: Sequence[Node],
    request: ResourceRequest,
    trials: int,
    gpu_bytes: int | None = None,
    data_bytes: int = 0,
) -> Machine:
    """Divide the nodes into slots for a search of so many trials.

    gpu_bytes   the memory of a GPU, if candidates are packed by memory
    data_bytes  the memory that the data takes on each GPU

    Raises RunError if GPUs are asked for and there are none.
    """
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    if with_gpus:
        return _divide_gpus(with_gpus, request, gpu_bytes, data_bytes)
    if request.gpus_per_trial is not None:
        raise RunError(f"gpus_per_trial={request.gpus_per_trial} needs a GPU, but Ray found none")
    return _divide_cores(nodes, request.slots, trials)


def _divide_gpus(nodes: Sequence[Node], request: ResourceRequest, memory: int | None, data: int) -> Machine:
    """Make one slot of each GPU unless the request says otherwise; the cores of a node are divided among its GPUs."""
    count, share = sum(int(node["GPU"]) for node in nodes), request.gpus_per_trial
    even = request.slots or count
    used = min(count, even) if share is None else count
    cores = min(node.get("CPU", 1.0) / min(int(node["GPU"]), used) for node in nodes)
    if share is None:
        parts = math.ceil(even / count)
    elif isinstance(share, float):
        parts = int(1 / share + 1e-9)
    else:  # each process launches its kernels from a core of its own
        parts = 2 ** int(math.log2(max(1.0, min(cores, MAX_PER_GPU))))
    capacity = _first_slots([parts] * count, even if share is None else parts * count)
    return Machine(
        device=Device(parts, memory, CONTEXT_BYTES + data),
        capacity=capacity,
        max_candidates=min(request.slots or sum(capacity), sum(capacity)),
        cores=_whole_or_share(cores / parts),
        gpu=True,
    )


def _divide_cores(nodes: Sequence[Node], slots: int | None, trials: int) -> Machine:
    """Make as many slots of one core as there are cores, but no more than a quarter of the trials.

    Two slots of one thread train more candidates than one slot of two threads. But a sampler that is asked for more
    than a quarter of all trials at once learns nothing in between, so a slot gets more cores instead.
    """
    nodes = [node for node in nodes if node.get("CPU", 0) > 0] or [{"CPU": 1.0}]
    cores_of = [node["CPU"] for node in nodes]
    total = max(1, int(sum(cores_of)))
    count = slots or min(total, max(2, trials // 4))
    cores = min(_whole_or_share(total / count), max(1, int(max(cores_of))))
    room = [int(available / cores + 1e-6) for available in cores_of]
    capacity = _first_slots(room, count)
    memory = min(node.get("memory", math.inf) / parts for node, parts in zip(nodes, room, strict=True) if parts)
    largest = max(capacity)
    device = Device(largest, int(largest * memory) if memory < math.inf else None, PROCESS_BYTES)
    return Machine(device, capacity, max_candidates=sum(capacity), cores=cores)


def _first_slots(capacity: Sequence[int], count: int) -> tuple[int, ...]:
    """Return how many of the first `count` slots each device has; devices without any are left out."""
    slots_of: list[int] = []
    for slots in capacity:
        slots_of.append(min(slots, count - sum(slots_of)))
    return tuple(slots for slots in slots_of if slots > 0)


def _whole_or_share(cores: float) -> float:
    """Return a whole number of cores, or a share of one core."""
    return int(cores) if cores >= 1 else _floor(cores)


def _floor(share: float) -> float:
    """Round down to a ten-thousandth, Ray's smallest unit of a resource."""
    return int(1e4 * share + 1e-6) / 1e4
