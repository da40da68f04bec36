"""What every search domain must offer to a sampler."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from nas.surrogate.points import Point


class Domain(Protocol):
    """A set of points from which a sampler proposes.

    fresh  the number of random points and mutants that are drawn for one proposal, if the domain is not enumerated
    """

    fresh: int

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """Return the point with these parameters; None where there is none."""

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        """Return a mutated copy of `params` with at least one changed decision.

        Return a point drawn at random if `params` is empty.
        """

    def everything(self) -> Iterator[Point]:
        """Return all points if they are few, otherwise an empty iterator."""


def mutation_count(rng: random.Random, most: int) -> int:
    """Return the number of decisions that a mutation changes: k has probability (2/3)·(1/3)^(k−1), up to `most`."""
    count = 1
    while count < most and rng.random() < 1 / 3:
        count += 1
    return count
