"""Who is in which split: rules that are fixed for ever, without random numbers, which a later numpy might draw anew."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from nas.tasks.splits import Array, Split, Splits

FIFTHS = ("train", "train", "train", "validation", "test")
TENTHS = (*("train",) * 8, "validation", "test")
MANY = 10_000  # samples from which on a tenth is enough to measure with


def pattern_for(samples: int) -> tuple[str, ...]:
    """What becomes of every five samples, or of every ten where there are many."""
    return TENTHS if samples >= MANY else FIFTHS


def in_turn(labels: Array, pattern: Sequence[str]) -> Array:
    """The split of every sample: within each class, the places of `pattern` in turn. Stratified."""
    turn = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        turn[rows] = np.arange(len(rows)) % len(pattern)
    return np.array(pattern)[turn]


def shuffled_turns(labels: Array) -> Array:
    """As `in_turn`, with the samples of a class taken in an order that has nothing to do with that of the file."""
    order = np.argsort(_mixed(len(labels)), kind="stable")
    parts = np.empty(len(labels), dtype="<U10")
    parts[order] = in_turn(labels[order], pattern_for(len(labels)))
    return parts


def by_name(names: Sequence[str]) -> Array:
    """The split of every name by its hash: names that are added later move no other."""
    places = (int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in names)
    return np.array([TENTHS[place % len(TENTHS)] for place in places])


def divided(inputs: Array, targets: Array, parts: Array) -> Splits:
    """The rows of each part."""
    return Splits(**{name: Split(inputs[parts == name], targets[parts == name]) for name in sorted(set(FIFTHS))})


def _mixed(count: int) -> Array:
    """0 … count−1 through splitmix64 (Steele et al. 2014): numbers without order, the same on every machine."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
