"""How GPUs and cores are divided into slots, by what a person wants. Knows no Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.errors import RunError
from nas.searching.packing import AT_MOST, CONTEXT, PROCESS, Card
from nas.space import quantities

AUTO = "auto"

Node = Mapping[str, float]  # what a node has: CPU, GPU, memory (bytes)


@dataclass(frozen=True)
class Wanted:
    """What a person asks of the machine. Raises RunError.

    slots           candidates at a time; None for as many as fit
    gpus_per_trial  of a GPU: a number up to 1; "auto" for what each is predicted to need; None to divide them evenly
    gpu_memory      bytes of each GPU that are for this search, or 24GiB; None for all
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
            raise RunError(f"gpu_memory is for gpus_per_trial={AUTO}, but that is {share or 'not asked for'}")
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
    """What candidates are trained on.

    card   what they share: a GPU, or a node where there is none
    cards  slots of each
    most   candidates at a time
    cores  of a slot
    gpu    is a card a GPU?
    """

    card: Card
    cards: tuple[int, ...]
    most: int
    cores: float
    gpu: bool = False

    @property
    def slots(self) -> int:
        """Of all cards."""
        return sum(self.cards)

    def resources(self, slots: int) -> dict[str, float]:
        """What Ray sets aside for a candidate that takes so many slots."""
        gpu = {"GPU": _floor(slots / self.card.slots)} if self.gpu else {}
        return {"CPU": _floor(slots * self.cores)} | gpu

    def threads(self, slots: int) -> int:
        """Of torch, in its process."""
        return max(1, int(slots * self.cores))

    def allowance(self, slots: int) -> int | None:
        """Bytes of a GPU that torch may take there; None for any number."""
        if not self.gpu or self.card.memory is None:
            return None
        return self.card.memory if slots == self.card.slots else slots * self.card.memory // self.card.slots - CONTEXT


def divided(nodes: Sequence[Node], wanted: Wanted, trials: int, memory: int | None = None, data: int = 0) -> Machine:
    """The nodes as slots, for a search of so many trials.

    memory  bytes of a GPU, where they are to be packed; data: those that the data takes there

    Raises RunError where GPUs are wanted and there are none.
    """
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    if with_gpus:
        return _of_gpus(with_gpus, wanted, memory, data)
    if wanted.gpus_per_trial is not None:
        raise RunError(f"gpus_per_trial={wanted.gpus_per_trial} needs a GPU, but Ray knows of none")
    return _of_cores(nodes, wanted.slots, trials)


def _of_gpus(nodes: Sequence[Node], wanted: Wanted, memory: int | None, data: int) -> Machine:
    """One slot for each GPU, unless something else is wanted; the cores of a node are divided among its GPUs."""
    count, share = sum(int(node["GPU"]) for node in nodes), wanted.gpus_per_trial
    even = wanted.slots or count
    used = min(count, even) if share is None else count
    cores = min(node.get("CPU", 1.0) / min(int(node["GPU"]), used) for node in nodes)
    if share is None:
        parts = math.ceil(even / count)
    elif isinstance(share, float):
        parts = int(1 / share + 1e-9)
    else:  # a core for each process: it launches the kernels
        parts = 2 ** int(math.log2(max(1.0, min(cores, AT_MOST))))
    cards = _filled([parts] * count, even if share is None else parts * count)
    return Machine(
        card=Card(parts, memory, CONTEXT + data),
        cards=cards,
        most=min(wanted.slots or sum(cards), sum(cards)),
        cores=_even(cores / parts),
        gpu=True,
    )


def _of_cores(nodes: Sequence[Node], slots: int | None, trials: int) -> Machine:
    """As many slots of one thread as there are cores.

    Two slots of one thread train more candidates than one of two threads. But a sampler that is asked for a quarter
    of all trials at once learns nothing in between: beyond that, a slot gets more threads instead.
    """
    nodes = [node for node in nodes if node.get("CPU", 0) > 0] or [{"CPU": 1.0}]
    each = [node["CPU"] for node in nodes]
    total = max(1, int(sum(each)))
    count = slots or min(total, max(2, trials // 4))
    cores = min(_even(total / count), max(1, int(max(each))))
    room = [int(has / cores + 1e-6) for has in each]
    cards = _filled(room, count)
    memory = min(node.get("memory", math.inf) / parts for node, parts in zip(nodes, room, strict=True) if parts)
    card = Card(max(cards), int(max(cards) * memory) if memory < math.inf else None, PROCESS)
    return Machine(card, cards, most=sum(cards), cores=cores)


def _filled(capacity: Sequence[int], count: int) -> tuple[int, ...]:
    """The first `count` slots of cards with this capacity."""
    cards: list[int] = []
    for slots in capacity:
        cards.append(min(slots, count - sum(cards)))
    return tuple(slots for slots in cards if slots > 0)


def _even(cores: float) -> float:
    return int(cores) if cores >= 1 else _floor(cores)


def _floor(share: float) -> float:
    """Ray counts in parts of ten thousand."""
    return int(1e4 * share + 1e-6) / 1e4
