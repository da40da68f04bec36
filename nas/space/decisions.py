"""Walks: generators that ask one decision after the other and are sent what was decided.

One description of a space, its walk, serves to sample it (a trial decides), to enumerate it (everything is decided
in turn), to count it and to find the decisions that lead to a given topology.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nas.topology.geometry import Scalar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `values`: the same values wherever the name is asked (Optuna's categories may not change)."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A whole number, low <= n <= high. What is asked later never depends on which; the bounds may vary."""

    name: str
    low: int
    high: int

    @property
    def values(self) -> range:
        return range(self.low, self.high + 1)


Decision = Choice | Range
Walk = Generator[Decision, Any, T]
Trail = list[tuple[Decision, Scalar]]


def pick(name: str, values: Sequence[T]) -> Walk[T]:
    """One of the values; with one value there is nothing to decide."""
    if len(values) == 1:
        return values[0]
    chosen: T = yield Choice(name, tuple(values))  # type: ignore[arg-type]
    return chosen


def pick_number(name: str, low: int, high: int) -> Walk[int]:
    """low <= n <= high."""
    if low == high:
        return low
    number: int = yield Range(name, low, high)
    return number


def drive(walk: Walk[T], decide: Callable[[Decision], Scalar]) -> T:
    """Take the walk to its end, each decision as `decide` says; returns what the walk leads to."""
    try:
        decision = next(walk)
        while True:
            decision = walk.send(decide(decision))
    except StopIteration as end:
        result: T = end.value
        return result


def first(decision: Decision) -> Scalar:
    """The value that is listed first."""
    return decision.values[0]


def explore(
    walk: Callable[[], Walk[T]], among: Callable[[Decision], Sequence[Scalar]] = lambda decision: decision.values
) -> Iterator[tuple[Trail, T]]:
    """Every way through the walk and where it leads, the last decision changing fastest; lazily.

    `among` may leave only some values of a decision. A generator cannot be copied, so that each way is walked from
    its beginning.
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
