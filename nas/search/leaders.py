"""The leaders: the finished candidates whose weights are worth keeping."""

from __future__ import annotations

Losses = tuple[float, ...]


def dominates(left: Losses, right: Losses) -> bool:
    """No worse anywhere, better somewhere; smaller is better."""
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


class Leaders:
    """Who is not dominated, and the best by rank: both grow one finished candidate at a time."""

    def __init__(self) -> None:
        self.front: dict[int, Losses] = {}
        self.best: tuple[Losses, int] | None = None

    def add(self, number: int, losses: Losses, rank: Losses) -> bool:
        """Is it a leader now? `losses` are its objectives, `rank` what the winner is chosen by; smaller is better."""
        first = self.best is None or (rank, number) < self.best
        if first:
            self.best = rank, number
        on_front = not any(dominates(other, losses) for other in self.front.values())
        if on_front:
            self.front = {n: other for n, other in self.front.items() if not dominates(losses, other)}
            self.front[number] = losses
        return first or on_front

    @property
    def numbers(self) -> set[int]:
        return self.front.keys() | ({self.best[1]} if self.best else set())
