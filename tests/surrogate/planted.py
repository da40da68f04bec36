"""Planted functions of topologies, searched with noise as a session would: new topologies, and repeats that pay."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nas.space import SearchSpace
from nas.surrogate.expected import Expected, expected
from nas.surrogate.features import block_features
from nas.surrogate.points import Point
from nas.topology import Topology

KINDS = ("additive", "interactions", "mixed", "rough", "skewed", "none")
NOISES = (0.3, 1.0)  # standard deviations of the noise; that of a function is 1
TOPOLOGIES = 400
SLOTS = 4  # trials that run at the same time


class Searched(NamedTuple):
    """The end of one search.

    kind, noise  of the planted function
    expected     the beliefs about the topologies that were evaluated
    truth        the values of the function there, (n,)
    luckiest     by how much the highest single value is above the function
    """

    kind: str
    noise: float
    expected: Expected
    truth: np.ndarray
    luckiest: float

    @property
    def covered(self) -> np.ndarray:
        """Which intervals hold the truth, (n,)."""
        return np.abs(self.truth - self.expected.mean) <= self.expected.half_width

    @property
    def bias(self) -> float:
        """By how much too much is expected of the recommended topology, in standard deviations of the noise."""
        best = self.expected.best
        return float(self.expected.mean[best] - self.truth[best]) / self.noise


class Drawn:
    """A trial whose suggestions are random."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._rng.choice(choices)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self._rng.randint(low, high)


class Pool(NamedTuple):
    """Topologies of one space as points, and the number of the op of every block of each, (n, blocks)."""

    points: list[Point]
    codes: np.ndarray


@functools.cache
def pool() -> Pool:
    """Return TOPOLOGIES different topologies of NAS-Bench-Macro's space."""
    space, trial, found = SearchSpace.load("nas_bench_macro"), Drawn(random.Random(0)), dict[str, Topology]()
    while len(found) < TOPOLOGIES:
        topology = space.sample(trial)
        found.setdefault(topology.key, topology)
    points = [Point({}, key, block_features(topology)) for key, topology in found.items()]
    names = sorted({name for point in points for name in point.features if name.endswith(" op")})
    ops = [[str(point.features.get(name)) for name in names] for point in points]
    codes = np.stack([np.unique(column, return_inverse=True)[1] for column in zip(*ops, strict=True)], axis=1)
    return Pool(points, codes)


def planted(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a random function of a kind at the topologies of the pool: of mean 0, and of variance 1 but for "none".

    additive      a sum of effects of the ops, which matter more in some blocks than in others
    interactions  that, and as much again of pairs of neighbouring blocks
    mixed         that, with less of the pairs, and as much that no feature explains
    rough         a random number for every topology
    skewed        near a plateau, with few topologies that are far worse
    none          no differences at all
    """
    codes = pool().codes
    blocks, ops = codes.shape[1], int(codes.max()) + 1
    single = rng.normal(size=(blocks, ops)) * rng.gamma(1, 1, size=(blocks, 1))
    pairs = rng.normal(size=(blocks - 1, ops, ops)) * rng.gamma(1, 1, size=(blocks - 1, 1, 1))
    additive = _standard(single[np.arange(blocks), codes].sum(1))
    joint = _standard(pairs[np.arange(blocks - 1), codes[:, :-1], codes[:, 1:]].sum(1))
    rough = _standard(rng.normal(size=len(codes)))
    return {
        "additive": additive,
        "interactions": _standard(additive + joint),
        "mixed": _standard(additive + joint / 2 + rough / 2),
        "rough": rough,
        "skewed": _standard(-np.exp(-additive)),
        "none": np.zeros(len(codes)),
    }[kind]


def searched(seed: int, trials: int = 60) -> Searched:
    """Return the end of a search; the seed decides on the kind of function and on the noise, too.

    The rules are those of `repeats: auto` (nas.searching.repeats), and SLOTS trials run at the same time.
    """
    kind, noise = KINDS[seed % len(KINDS)], NOISES[seed // len(KINDS) % len(NOISES)]
    rng, (points, codes) = np.random.default_rng(seed), pool()
    function, values = planted(kind, rng), dict[int, list[float]]()

    def found() -> Expected:
        tried = list(values)
        return expected(lambda place: points[tried[place]], [np.array(each) for each in values.values()])

    for finished in range(0, trials, SLOTS):
        repeats, share = finished - len(values), finished / trials
        running: list[int] = []
        if finished >= 2 * SLOTS and repeats < 3:
            once = [chosen for chosen, each in values.items() if len(each) == 1]
            running = sorted(once, key=lambda chosen: -values[chosen][0])[: SLOTS // 2]
        elif share >= 0.7 or (finished >= 2 * SLOTS and repeats < 0.5 * share**0.5 * finished):
            beliefs, pending, numbers = found(), list[int](), list(values)
            while len(pending) < SLOTS and (chosen := beliefs.worth_repeating(pending=pending)) is not None:
                pending.append(chosen)
            running = [numbers[place] for place in pending[: SLOTS if share >= 0.7 else SLOTS // 2]]
        while len(running) < SLOTS:
            running.append(_new(rng, codes, values, running))
        for chosen in running:
            values.setdefault(chosen, []).append(float(function[chosen] + noise * rng.normal()))
    truth = function[list(values)]
    highest = np.array([max(each) for each in values.values()])
    luckiest = float(highest.max() - truth[highest.argmax()]) / noise
    return Searched(kind, noise, found(), truth, luckiest)


def _new(rng: np.random.Generator, codes: np.ndarray, values: Mapping[int, list[float]], running: list[int]) -> int:
    """Return a topology that was not evaluated: a random one, or a neighbour of one that seems good."""
    left = np.setdiff1d(np.arange(len(codes)), [*values, *running])
    if len(values) < 2 * SLOTS or rng.random() < 0.3:
        return int(rng.choice(left))
    some = rng.choice(list(values), 5, replace=False)
    parent = max(some, key=lambda place: np.mean(values[place]))
    apart = (codes[left] != codes[parent]).sum(1)
    return int(rng.choice(left[apart == apart.min()]))


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
