"""Walks: generators that yield one decision after the other and are sent the chosen values.

The walk is the only description of a space. It serves to sample the space (a trial chooses), to enumerate it (every
value is chosen in turn), to count it, and to find the decisions that lead to a given topology.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nas.topology.geometry import Scalar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice among `values`, which are the same wherever the name occurs: categories of Optuna may not change."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A choice of a whole number, low <= n <= high. Later decisions never depend on n; the bounds may vary."""

    name: str
    low: int
    high: int

    @property
    def values(self) -> range:
        """The numbers that may be chosen."""
        return range(self.low, self.high + 1)


Decision = Choice | Range
Walk = Generator[Decision, Any, T]
Trail = list[tuple[Decision, Scalar]]


def pick(name: str, values: Sequence[T]) -> Walk[T]:
    """Return the chosen one of the values. A single value is returned without a decision."""
    if len(values) == 1:
        return values[0]
    chosen: T = yield Choice(name, tuple(values))  # type: ignore[arg-type]
    return chosen


def pick_number(name: str, low: int, high: int) -> Walk[int]:
    """Return the chosen number, low <= n <= high. A single number is returned without a decision."""
    if low == high:
        return low
    number: int = yield Range(name, low, high)
    return number


def drive(walk: Walk[T], decide: Callable[[Decision], Scalar]) -> T:
    """Run the walk to its end, with the values that `decide` chooses, and return its result."""
    try:
        decision = next(walk)
        while True:
            decision = walk.send(decide(decision))
    except StopIteration as end:
        result: T = end.value
        return result


def first(decision: Decision) -> Scalar:
    """Return the value that is listed first."""
    return decision.values[0]


def explore(
    walk: Callable[[], Walk[T]], among: Callable[[Decision], Sequence[Scalar]] = lambda decision: decision.values
) -> Iterator[tuple[Trail, T]]:
    """Yield every way through the walk, with its result; the last decision changes fastest.

    among  returns the values of a decision that are tried; all of them unless given

    A generator cannot be copied, so each way is walked from its beginning.
    """
    turn: list[int] = []  # which value each decision is to take
    while True:
        trail: Trail = []
        left: list[bool] = []  # whether a decision has values after this one

        def decide(decision: Decision, trail: Trail = trail, left: list[bool] = left) -> Scalar:
            values, place = among(decision), len(trail)
            if place == len(turn):
                turn.append(0)
            trail.append((decision, values[turn[place]]))
            left.append(turn[place] + 1 < len(values))
            return values[turn[place]]

        yield trail, drive(walk(), decide)
        while left and not left[-1]:
            left.pop()
        if not left:
            return
        del turn[len(left) :]
        turn[-1] += 1
