"""Divide GPUs and cores into slots, as the user asks for. Does not import Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nas.errors import RunError
from nas.searching.packing import CONTEXT_BYTES, MAX_PER_GPU, PROCESS_BYTES, Device
from nas.space import quantities

AUTO = "auto"

MISSING = 0.2  # of the memory of a slot may be missing on a node: Ray reports what was free when it was started

Resources = Mapping[str, float]  # of a node: CPU, GPU, memory (bytes)


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
    """The devices that train the candidates of a search, on one node or on several, and their slots.

    device   the size of a device: a GPU, or a node if there is no GPU
    cores    CPU cores of a slot
    gpu      whether a device is a GPU
    most     candidates at a time at most; None for as many as fit
    devices  name → slots of every device there is (nas.searching.packing.node_of)
    """

    device: Device
    cores: float
    gpu: bool = False
    most: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """The slots of all devices, without those that no candidate may take."""
        everything = sum(self.devices.values())
        return everything if self.most is None or self.device.memory is not None else min(everything, self.most)

    @property
    def max_candidates(self) -> int:
        """The number of candidates at a time."""
        everything = sum(self.devices.values())
        return everything if self.most is None else min(everything, self.most)

    def on(self, nodes: Mapping[str, Resources]) -> Machine:
        """Return the machine that these nodes are (identifier → resources), divided into slots of the same size."""
        devices: dict[str, int] = {}
        for name, node in nodes.items():
            devices |= self._devices_of(name, node)
        return replace(self, devices=devices)

    def _devices_of(self, name: str, node: Resources) -> dict[str, int]:
        """Return name → slots of the devices of a node."""
        room = int(node.get("CPU", 0.0) / self.cores + 1e-6)
        if not self.gpu:
            memory = math.inf if self.device.memory is None else self.device.memory / self.device.slots
            slots = min(room, int(node.get("memory", math.inf) / memory + MISSING) if memory < math.inf else room)
            return {name: slots} if slots else {}
        devices: dict[str, int] = {}
        for number in range(int(node.get("GPU", 0))):
            slots = min(self.device.slots, room - sum(devices.values()))
            devices |= {f"{name} {number}": slots} if slots > 0 else {}
        return devices

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
    nodes: Mapping[str, Resources],
    request: ResourceRequest,
    trials: int,
    gpu_bytes: int | None = None,
    data_bytes: int = 0,
) -> Machine:
    """Divide the nodes (identifier → resources) into slots for a search of so many trials.

    gpu_bytes   the memory of a GPU, if candidates are packed by memory
    data_bytes  the memory that the data takes on each GPU

    Raises RunError if GPUs are asked for and there are none.
    """
    with_gpus = [node for node in nodes.values() if node.get("GPU", 0) >= 1]
    if with_gpus:
        return _divide_gpus(with_gpus, request, gpu_bytes, data_bytes).on(nodes)
    if request.gpus_per_trial is not None:
        raise RunError(f"gpus_per_trial={request.gpus_per_trial} needs a GPU, but Ray found none")
    nodes = {name: node for name, node in nodes.items() if node.get("CPU", 0) > 0} or {
        name: {"CPU": 1.0} for name in nodes
    }
    return _divide_cores(list(nodes.values()), request.slots, trials).on(nodes)


def _divide_gpus(nodes: Sequence[Resources], request: ResourceRequest, memory: int | None, data: int) -> Machine:
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
    device = Device(parts, memory, CONTEXT_BYTES + data)
    return Machine(device, cores=_whole_or_share(cores / parts), gpu=True, most=request.slots)


def _divide_cores(nodes: Sequence[Resources], slots: int | None, trials: int) -> Machine:
    """Make as many slots of one core as there are cores, but no more than a quarter of the trials.

    Two slots of one thread train more candidates than one slot of two threads. But a sampler that is asked for more
    than a quarter of all trials at once learns nothing in between, so a slot gets more cores instead.
    """
    cores_of = [node["CPU"] for node in nodes]
    total = max(1, int(sum(cores_of)))
    most = slots or max(2, trials // 4)
    cores = min(
        _whole_or_share(total / min(total, most) if slots is None else total / slots), max(1, int(max(cores_of)))
    )
    room = [int(available / cores + 1e-6) for available in cores_of]
    memory = min(node.get("memory", math.inf) / parts for node, parts in zip(nodes, room, strict=True) if parts)
    largest = max(room)
    device = Device(largest, int(largest * memory) if memory < math.inf else None, PROCESS_BYTES)
    return Machine(device, cores=cores, most=most)


def _whole_or_share(cores: float) -> float:
    """Return a whole number of cores, or a share of one core."""
    return int(cores) if cores >= 1 else _floor(cores)


def _floor(share: float) -> float:
    """Round down to a ten-thousandth, Ray's smallest unit of a resource."""
    return int(1e4 * share + 1e-6) / 1e4
