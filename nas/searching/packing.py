"""How many candidates share a device, by the memory that each is predicted to need. Does not import Ray.

A device is a GPU; on a node without a GPU it is the node with its cores. It has n equal slots, and a candidate takes
1, 2, 4, … of them or all. There are few sizes, so that the process of one candidate can serve the next of its size.

    size(m) = the smallest of these s with s/n · M ≥ SAFETY · m + R, or n if none is large enough

M: the memory of a device; m: the predicted memory of a candidate (nas.cost); R: the memory of a process before any
candidate; all in bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# what the prediction leaves out: an allocator rounds up, and a convolution library needs scratch space
SAFETY = 1.25
# bytes of a process: on a GPU the CUDA context, its libraries' kernels and the workspaces of cuBLAS (measured: 839 MiB
# on an H200), on a CPU the private memory of Python, torch and Ray (measured: 396 MiB)
CONTEXT_BYTES, PROCESS_BYTES = 896 * 2**20, 400 * 2**20
MAX_PER_GPU = 8  # candidates on a GPU; with more, contexts take memory and kernels wait for each other
MAX_WAITING = 2  # candidates that wait for room; a candidate that is asked for earlier is chosen with fewer results


@dataclass(frozen=True)
class Device:
    """A GPU, or a node without one, that candidates share.

    slots     the number of its equal parts
    memory    its bytes; None if candidates are not packed by memory: each then takes one slot
    resident  bytes of a process before any candidate: its libraries and the data
    """

    slots: int = 1
    memory: int | None = None
    resident: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of slots that a candidate may take: 1, 2, 4, … and all."""
        return (*(2**power for power in range((self.slots - 1).bit_length())), self.slots)

    def size(self, predicted: int | None) -> int:
        """Return the slots for a candidate with this predicted memory in bytes; all slots if it is unknown."""
        if self.memory is None:
            return 1
        if predicted is None:
            return self.slots
        needed = self.slots * (SAFETY * predicted + self.resident)
        return next((size for size in self.sizes if size * self.memory >= needed), self.slots)


class Placeable(Protocol):
    """Anything that takes slots of a device, such as a candidate.

    slots  how many it takes
    """

    slots: int

    @property
    def avoid(self) -> Collection[str]:
        """The nodes on which it failed before: it goes to another one, if there is one."""


T = TypeVar("T", bound=Placeable)


def node_of(device: str) -> str:
    """Return the identifier of the node of a device, whose name is that of the node, for a GPU with its number."""
    return device.partition(" ")[0]


@dataclass(eq=False)
class Placements(Generic[T]):
    """The device of every candidate, and the candidates that wait for room.

    capacity  name → slots of each device that can take candidates; it changes as nodes come and go (`follow`)
    waiting   the candidates that wait, in their order

    If the first waiting candidate fits on no device, the emptiest device is reserved for it. That device takes no
    other candidate, so its free room only grows and is large enough in the end. The candidates behind it use the
    other devices meanwhile: no candidate waits for ever, and no other device stands idle.

    A new candidate goes to the device where it leaves the fewest free slots, which is Ray's rule for the GPUs of a
    node. Its node is the one that was chosen here; if Ray chose another GPU of it, `observe` corrects that.
    """

    capacity: Mapping[str, int]
    waiting: list[T] = field(default_factory=list)
    _device_of: dict[T, str] = field(default_factory=dict)
    _used: Counter[str] = field(default_factory=Counter)  # slots of each device that candidates take
    _alias: dict[str, str] = field(default_factory=dict)  # the name of a device that is not in `capacity` → one that is

    def follow(self, capacity: Mapping[str, int]) -> None:
        """Take the devices that there are now. What runs on a device that is gone keeps its place until it ends."""
        self.capacity = dict(capacity)
        self._alias = {name: known for name, known in self._alias.items() if known in capacity}

    def admit(self) -> T | None:
        """Place the first waiting candidate that fits on a device and return it; None if none fits."""
        for ahead, candidate in enumerate(self.waiting):
            candidate.slots = min(candidate.slots, max(self.capacity.values(), default=candidate.slots))
            for device in self._allowed(candidate, self._available(ahead)):
                if self._free(device) >= candidate.slots:
                    self._put(candidate, device)
                    return self.waiting.pop(ahead)
        return None

    def has_room(self) -> bool:
        """Return whether one more candidate may wait: a slot is free that is reserved for no waiting candidate."""
        ahead = len(self.waiting)
        return ahead < MAX_WAITING and any(self._free(device) > 0 for device in self._available(ahead))

    def device(self, candidate: T) -> str:
        """Return the device of a candidate that was placed."""
        return self._device_of[candidate]

    def node(self, candidate: T) -> str:
        """Return the node of a candidate that was placed."""
        return node_of(self.device(candidate))

    def release(self, candidate: T) -> None:
        """Free the slots of a candidate that has ended."""
        self._used[self._device_of.pop(candidate)] -= candidate.slots

    def observe(self, candidate: T, name: str) -> None:
        """Note that a candidate runs on the device of this name, wherever it was placed."""
        if name not in self.capacity and name not in self._alias:
            same = [known for known in self.capacity if node_of(known) == node_of(name)]
            unnamed = [known for known in same if known not in self._alias.values()]
            expected = self._device_of[candidate]
            self._alias[name] = expected if expected in unnamed or not unnamed else unnamed[0]
        self.release(candidate)
        self._put(candidate, self._alias.get(name, name))

    def _put(self, candidate: T, device: str) -> None:
        self._device_of[candidate] = device
        self._used[device] += candidate.slots

    def _free(self, device: str) -> int:
        return self.capacity[device] - self._used[device]

    def _available(self, ahead: int) -> list[str]:
        """Return the devices that the first `ahead` waiting candidates leave to others, the fullest first."""
        devices = sorted(self.capacity, key=self._free)
        for candidate in self.waiting[:ahead]:
            large = [one for one in self._allowed(candidate, devices) if self.capacity[one] >= candidate.slots]
            if large:
                devices.remove(large[-1])
        return devices

    def _allowed(self, candidate: T, devices: Sequence[str]) -> list[str]:
        """Return those of the devices that are on no node that the candidate avoids; all if it avoids every node."""
        if all(node_of(device) in candidate.avoid for device in self.capacity):
            return list(devices)
        return [device for device in devices if node_of(device) not in candidate.avoid]
