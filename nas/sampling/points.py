"""Points of a search domain, and what every domain must offer to a sampler."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Features = Mapping[str, str | float]


@dataclass(eq=False, frozen=True, slots=True)
class Point:
    """A point that a trial may choose.

    params    the parameters of the trial
    key       equal for points that are the same, however they are written
    features  name → a word, or a number from 0 to 1: the input of the surrogate models
    """

    params: Mapping[str, Any]
    key: Hashable
    features: Features


class Domain(Protocol):
    """A set of points from which a sampler proposes.

    fresh  the number of new points that are made for one proposal
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
