"""Assign every sample to a split by a fixed rule. An assignment is an array (n,) of "train", "validation" and "test".

The rules use no random generator, because a later numpy could return other numbers: an assignment never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from nas.tasks.splits import Array, Split, Splits

FIFTHS = ("train", "train", "train", "validation", "test")
TENTHS = (*("train",) * 8, "validation", "test")
MANY = 10_000  # from this number of samples on, a tenth of them measures precisely enough


def pattern_for(samples: int) -> tuple[str, ...]:
    """Return the splits of every five samples, or of every ten if there are at least MANY."""
    return TENTHS if samples >= MANY else FIFTHS


def assign_in_turn(labels: Array, pattern: Sequence[str]) -> Array:
    """Assign the samples of each class, in the order of the data, to the splits of `pattern` in turn (stratified)."""
    return np.asarray(np.array(pattern)[_places(labels) % len(pattern)])


def assign_shuffled(labels: Array) -> Array:
    """Assign as `assign_in_turn`, but with the samples of a class in an order that is independent of the data's."""
    order = np.argsort(_mixed(len(labels)), kind="stable")
    assignment = np.empty(len(labels), dtype="<U10")
    assignment[order] = assign_in_turn(labels[order], pattern_for(len(labels)))
    return assignment


def assign_by_hash(names: Sequence[str]) -> Array:
    """Assign every name by its hash, so that a name that is added later changes the split of no other."""
    places = (int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in names)
    return np.array([TENTHS[place % len(TENTHS)] for place in places])


def subset(labels: Array, assignment: Array, train: int, validation: int) -> Array:
    """Return the assignment with fewer samples of train and validation, stratified; the others are in no split: "".

    The samples of each split have one order, in which every class advances by its share, in the order of the data. The
    subset is its beginning, so that a smaller subset is a part of a larger one. Where validation has too few samples,
    the last ones in the order of train are added to it, and train must not need them.
    """
    own = {name: _by_share(labels, np.flatnonzero(assignment == name)) for name in ("train", "validation")}
    chosen = np.where(assignment == "test", assignment, "")
    chosen[own["train"][:train]] = "train"
    chosen[np.concatenate((own["validation"], own["train"][::-1]))[:validation]] = "validation"
    return chosen


def divide(inputs: Array, targets: Array, assignment: Array) -> Splits:
    """Return the rows that are assigned to each split."""
    rows = {name: assignment == name for name in ("train", "validation", "test")}
    return Splits(**{name: Split(inputs[mask], targets[mask]) for name, mask in rows.items()})


def _places(labels: Array) -> Array:
    """Return the place of every sample among those of its class, in the order of the data: 0, 1, …"""
    places = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        places[rows] = np.arange(len(rows))
    return places


def _by_share(labels: Array, rows: Array) -> Array:
    """Return the rows in an order of which every beginning holds about the same share of each class."""
    _, label, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    return rows[np.lexsort((label, (_places(label) + 0.5) / counts[label]))]


def _mixed(count: int) -> Array:
    """Return splitmix64 (Steele et al. 2014) of 0 … count−1: numbers without order, the same on every machine."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
