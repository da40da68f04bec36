"""How many candidates share a card, by the memory that each is predicted to need. Knows no Ray.

A card is a GPU; where there is none, a node with its cores. It has n equal slots, and a candidate takes 1, 2, 4, … of
them or all: few sizes, so that the process of one candidate serves the next of the same size.

    size(m) = the least of these s with s/n · M ≥ SAFETY · m + R, or n where none is enough

M: bytes that a card holds; m: bytes predicted (nas.cost); R: bytes of a process before any candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# what the prediction leaves out: what an allocator rounds up, what a convolution library takes as scratch space
SAFETY = 1.25
# of a process: the CUDA context and the workspaces of its libraries (not measured yet); on a CPU what Python, torch and
# Ray keep for themselves alone (measured: 396 MiB)
CONTEXT, PROCESS = 768 * 2**20, 400 * 2**20
AT_MOST = 8  # candidates on a GPU; beyond that contexts take memory, and kernels wait for each other
AHEAD = 2  # candidates that wait for room; who is asked earlier knows less


@dataclass(frozen=True)
class Card:
    """What candidates share.

    slots     in how many parts
    memory    bytes that it holds; None where nobody asks: then a candidate takes one slot
    resident  bytes of a process before any candidate: its libraries, and the data
    """

    slots: int = 1
    memory: int | None = None
    resident: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """1, 2, 4, … and all slots."""
        return (*(2**power for power in range((self.slots - 1).bit_length())), self.slots)

    def size(self, predicted: int | None) -> int:
        """Slots for a candidate that is predicted to need so many bytes; all where nobody knows how many."""
        if self.memory is None:
            return 1
        if predicted is None:
            return self.slots
        needed = self.slots * (SAFETY * predicted + self.resident)
        return next((size for size in self.sizes if size * self.memory >= needed), self.slots)


class Taker(Protocol):
    """Who takes slots."""

    slots: int


T = TypeVar("T", bound=Taker)


@dataclass(eq=False)
class Cards(Generic[T]):
    """Who is on which card, and who waits for room on one.

    capacity  the slots of each card
    waiting   who comes next, in this order

    Where there is no room for the first that waits, the emptiest card is kept for it. It takes nobody else, so that its
    room never shrinks and suffices in the end. Those behind go to the other cards meanwhile: nobody waits for ever,
    and no other card stands idle.

    A newcomer is put where it leaves the least room, as Ray does with the GPUs of a node; where Ray has decided
    otherwise, `seen` tells.
    """

    capacity: Sequence[int]
    waiting: list[T] = field(default_factory=list)
    _places: dict[T, int] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)

    def admit(self) -> T | None:
        """The first that waits and finds room; it is on a card now."""
        for behind, who in enumerate(self.waiting):
            for card in self._open(behind):
                if self._free(card) >= who.slots:
                    self._places[who] = card
                    return self.waiting.pop(behind)
        return None

    def has_room(self) -> bool:
        """Is there a free slot, kept for nobody, for one more than those that wait?"""
        behind = len(self.waiting)
        return behind < AHEAD and any(self._free(card) > 0 for card in self._open(behind))

    def leave(self, who: T) -> None:
        """It has ended."""
        del self._places[who]

    def seen(self, who: T, name: str) -> None:
        """It is on the card of this name."""
        if name not in self._names:
            unnamed = [card for card in range(len(self.capacity)) if card not in self._names.values()]
            expected = self._places[who]
            self._names[name] = expected if expected in unnamed or not unnamed else unnamed[0]
        self._places[who] = self._names[name]

    def _free(self, card: int) -> int:
        return self.capacity[card] - sum(who.slots for who, place in self._places.items() if place == card)

    def _open(self, behind: int) -> list[int]:
        """The cards that the first `behind` that wait leave to others, the fullest first."""
        cards = sorted(range(len(self.capacity)), key=self._free)
        for who in self.waiting[:behind]:
            large = [card for card in cards if self.capacity[card] >= who.slots]
            if large:
                cards.remove(large[-1])
        return cards
