"""Points: what a surrogate model is given of a topology, or of the parameters of a trial."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

Features = Mapping[str, str | float]


@dataclass(eq=False, frozen=True, slots=True)
class Point:
    """A point of a domain, which a trial may have.

    params    the parameters of the trial
    key       equal for two points if their evaluations give the same result, even where their parameters differ
    features  the input of the surrogate models: name → a category, as text, or a number of the order of 1
    """

    params: Mapping[str, Any]
    key: Hashable
    features: Features
