"""Who is not dominated, one candidate at a time; and the leaders, whose weights are worth keeping."""

from __future__ import annotations

from typing import Any

Losses = tuple[float, ...]


def dominates(left: Losses, right: Losses) -> bool:
    """No worse anywhere, better somewhere; smaller is better."""
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


class Front:
    """Who is not dominated by anybody who was added: `members` are their losses by name."""

    def __init__(self) -> None:
        self.members: dict[Any, Losses] = {}

    def add(self, name: Any, losses: Losses) -> bool:
        """Is it a member now? Whom it dominates is one no more; equals stay together."""
        if any(dominates(other, losses) for other in self.members.values()):
            return False
        self.members = {n: other for n, other in self.members.items() if not dominates(losses, other)}
        self.members[name] = losses
        return True


class Leaders:
    """The finished candidates on the front, and the best by rank."""

    def __init__(self) -> None:
        self.front = Front()
        self.best: tuple[Losses, int] | None = None

    def add(self, number: int, losses: Losses, rank: Losses, feasible: bool = True) -> bool:
        """Is it a leader now? `losses` are its objectives, `rank` what the winner is chosen by; smaller is better.

        What is not feasible is on no front.
        """
        first = self.best is None or (rank, number) < self.best
        if first:
            self.best = rank, number
        return (feasible and self.front.add(number, losses)) or first

    @property
    def numbers(self) -> set[int]:
        return self.front.members.keys() | ({self.best[1]} if self.best else set())
