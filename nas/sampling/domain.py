"""What a sampler may propose: points, how they are made at random or from one another, and what a model sees of them.

Two kinds: the points of a SearchSpace, seen as the topologies that they are, and the parameters of any Optuna study,
whose distributions and conditions are learned from its trials.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.space import SearchSpace
from nas.topology import Topology
from nas.topology.block import options_of

Array = NDArray[np.float64]
Features = Callable[[Topology], Mapping[str, float | None]]
Seen = Mapping[str, str | float]  # what a model sees of a point: of each group a word, or a number from 0 to 1

MISMATCH = 1 / math.sqrt(2)  # in the column of a word: two words are at distance 1
FEW = 12  # whole numbers that are words as well
DRAWN = 50  # topologies that tell what a feature's values are like
ENUMERABLE = 20_000  # points that are all looked at


@dataclass(eq=False, frozen=True, slots=True)
class Point:
    """What a trial may decide.

    params  its parameters
    key     points of one key are one and the same
    seen    what a model sees
    """

    params: Mapping[str, Any]
    key: Hashable
    seen: Seen


class Domain(Protocol):
    """Where points come from; `fresh`: how many new ones a proposal has time for."""

    fresh: int

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """The point with these parameters, if there is one."""

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        """A neighbour of what has these parameters: one decision is another, sometimes more. Of none: at random."""

    def everything(self) -> Iterator[Point]:
        """All points, where these are few; else none."""


def changes(rng: random.Random, most: int) -> int:
    """How many decisions a mutant takes anew: 1, or with half the chance 2, and so on."""
    count = 1
    while count < most and rng.random() < 1 / 3:
        count += 1
    return count


# ------------------------------------------------------------------------------------------------- a search space


class Topologies:
    """The points of a search space. The same topology in other words is the same point.

    features  numbers to see besides what the blocks are; where one is missing, or not finite, it is not seen
    """

    fresh = 30

    def __init__(self, space: SearchSpace, features: Features) -> None:
        self.space, self._features = space, features
        rng = random.Random(0)
        drawn = [features(space.sample(Decided({}, rng))) for _ in range(DRAWN)]
        self._scales = dict(_scales(drawn))

    def point(self, params: Mapping[str, Any]) -> Point | None:
        decided = Decided(params, random.Random(0))
        topology = self.space.sample(decided)
        return self._point(topology, decided.params) if decided.params == dict(params) else None

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        anew = set(rng.sample(sorted(params), changes(rng, len(params)))) if params else set[str]()
        decided = Decided(params, rng, anew)
        topology = self.space.sample(decided)
        return self._point(topology, decided.params)

    def everything(self) -> Iterator[Point]:
        return iter(())  # a topology takes as long to make as a hundred other points: they come as they are needed

    def _point(self, topology: Topology, params: Mapping[str, Any]) -> Point:
        seen = sight(topology)
        for name, value in self._features(topology).items():
            if name in self._scales and value is not None and math.isfinite(value):
                centre, spread = self._scales[name]
                seen[f"feature {name}"] = 0.5 + min(1.0, max(-1.0, (value - centre) / (4 * spread)))
        return Point(params, topology.key, seen)


def _scales(drawn: Sequence[Mapping[str, float | None]]) -> Iterator[tuple[str, tuple[float, float]]]:
    """name → (mean, standard deviation) of every feature that varies."""
    for name in drawn[0]:
        values = [value for each in drawn if (value := each.get(name)) is not None and math.isfinite(value)]
        if len(values) > 1 and (spread := statistics.pstdev(values)) > 0:
            yield name, (statistics.fmean(values), spread)


class Decided:
    """A trial whose decisions are known, but for those that are to be taken anew; at random what is not known."""

    def __init__(self, known: Mapping[str, Any], rng: random.Random, anew: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.known, self.rng, self.anew = known, rng, anew
        self.params: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._decide(name, choices)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self._decide(name, range(low, high + 1)))

    def _decide(self, name: str, values: Sequence[Any]) -> Any:
        old = self.known.get(name)
        if name not in self.params:
            if old in values and name not in self.anew:
                self.params[name] = old
            else:
                others = [value for value in values if value != old]
                self.params[name] = self.rng.choice(others or list(values))
        return self.params[name]


def sight(topology: Topology) -> dict[str, str | float]:
    """What a model sees of a topology: what its canonical form does in every place, and how much there is of each.

    A place is a stage (a run of blocks between two changes of resolution) and a number in it, so that a block
    that is left out moves nothing in other stages.
    """
    plain = topology.canonical()
    seen: dict[str, str | float] = {"stem": f"{plain.stem.op} {plain.stem.width}", "head": plain.head.op}
    counts: Counter[str] = Counter()
    stage = place = 0
    for block, wire in zip(plain.blocks, plain.wiring.wires, strict=True):
        stage, place = (stage + 1, 1) if wire.input.size != wire.output.size else (stage, place + 1)
        op = " ".join([block.op, *(f"{name}={value}" for name, value in sorted(options_of(block).items()))])
        kind = "none" if block.skip is None else block.skip.kind
        source = None if block.skip is None else block.skip.source
        at = f"stage {stage} block {place}"
        seen |= {f"{at} op": op, f"{at} width": str(block.width), f"{at} skip": kind, f"{at} source": str(source)}
        seen[f"stage {stage} blocks"] = place / 8
        counts.update([f"op {op}", f"skip {kind}", f"skip {'short' if source is None else 'long'}"])
    return seen | {what: 2 * count / len(plain.blocks) for what, count in counts.items()}


# ------------------------------------------------------------------------------------------- parameters of a study


class Parameters:
    """The parameters that the trials of any study have decided.

    distributions  over which
    conditions     of a parameter that is not always decided: another one, and with which of its values it is not
    """

    fresh = 120

    def __init__(
        self, distributions: Mapping[str, BaseDistribution], conditions: Mapping[str, tuple[str, frozenset[Any]]]
    ) -> None:
        self.distributions, self.conditions = distributions, conditions
        alike: dict[Any, list[str]] = {}
        for name, distribution in distributions.items():
            alike.setdefault(repr(distribution), []).append(name)
        self._alike = [names for names in alike.values() if len(names) > 2]
        self._looks = {
            (name, value): _look(name, distribution, value)
            for name, distribution in distributions.items()
            for value in _values(distribution)[:ENUMERABLE]
        }

    @classmethod
    def of(cls, distributions: Mapping[str, BaseDistribution], decided: Sequence[Mapping[str, Any]]) -> Parameters:
        """With the conditions that explain which parameters each trial has decided."""
        often = Counter(itertools.chain.from_iterable(decided))
        ordered = {name: distributions[name] for name, _ in often.most_common()}  # what others depend on comes first
        return cls(ordered, {name: found for name in ordered if (found := _condition(name, decided))})

    def point(self, params: Mapping[str, Any]) -> Point | None:
        decided = all((name in params) == self._active(name, params) for name in self.distributions)
        return self._point(params) if decided and all(name in self.distributions for name in params) else None

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        anew = set(rng.sample(sorted(params), changes(rng, len(params)))) if params else set[str]()
        decided: dict[str, Any] = {}
        for name, distribution in self.distributions.items():
            if self._active(name, decided):
                known = name in params and name not in anew
                decided[name] = params[name] if known else _another(distribution, params.get(name), rng)
        return self._point(decided)

    def everything(self) -> Iterator[Point]:
        values = [_values(distribution) for distribution in self.distributions.values()]
        if any(not given for given in values) or math.prod(map(len, values)) > ENUMERABLE:
            return
        known = set()
        for way in itertools.product(*values):
            params: dict[str, Any] = {}
            for name, value in zip(self.distributions, way, strict=True):
                if self._active(name, params):
                    params[name] = value
            point = self._point(params)
            if point.key not in known:
                known.add(point.key)
                yield point

    def _active(self, name: str, params: Mapping[str, Any]) -> bool:
        if name not in self.conditions:
            return True
        parent, without = self.conditions[name]
        return parent in params and params[parent] not in without

    def _point(self, params: Mapping[str, Any]) -> Point:
        seen: dict[str, str | float] = {}
        for name, value in params.items():
            seen.update(self._looks.get((name, value)) or _look(name, self.distributions[name], value))
        for names in self._alike:
            for value, count in Counter(params[name] for name in names if name in params).items():
                seen[f"{names[0]}… {value!r}"] = 2 * count / len(names)
        return Point(dict(params), tuple(sorted(params.items())), seen)


def _look(name: str, distribution: BaseDistribution, value: Any) -> dict[str, str | float]:
    """A number that has few values is a word as well."""
    number, values = _position(distribution, value), _values(distribution)
    word = number is None or 0 < len(values) <= FEW
    return ({} if number is None else {name: number}) | ({f"{name}=": repr(value)} if word else {})


def _condition(name: str, decided: Sequence[Mapping[str, Any]]) -> tuple[str, frozenset[Any]] | None:
    """A parameter whose value tells whether `name` is decided, and the values with which it is not.

    It is there wherever `name` is, and elsewhere too. Of several the one with the fewest values: the simplest story.
    """
    having = [params for params in decided if name in params]
    stories = []
    for parent in dict.fromkeys(itertools.chain.from_iterable(decided)):
        without = {params[parent] for params in decided if parent in params and name not in params}
        if without and all(parent in params and params[parent] not in without for params in having):
            stories.append((len({params[parent] for params in decided if parent in params}), parent, without))
    if not stories:
        return None
    _, parent, without = min(stories, key=lambda story: story[0])
    return parent, frozenset(without)


def _values(distribution: BaseDistribution) -> Sequence[Any]:
    """All of them; none where they are not to be counted."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is None:
        return () if distribution.low < distribution.high else (distribution.low,)
    count = round((distribution.high - distribution.low) / distribution.step)
    return [distribution.low + place * distribution.step for place in range(count + 1)]


def _position(distribution: BaseDistribution, value: Any) -> float | None:
    """Of a number in its range, from 0 to 1; None of what is no number."""
    if isinstance(distribution, CategoricalDistribution):
        numbers = [n for n in distribution.choices if isinstance(n, int | float) and not isinstance(n, bool)]
        if len(numbers) < max(3, len(distribution.choices)):
            return None
        return sorted(numbers).index(value) / (len(numbers) - 1)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if low == high:
        return 0.0
    if distribution.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return float((value - low) / (high - low))


def _another(distribution: BaseDistribution, old: Any, rng: random.Random) -> Any:
    """A value other than the old one: of a number half the time one near it."""
    values = _values(distribution)
    if old is None:
        return rng.choice(values) if values else _placed(distribution, rng.random())
    near = _position(distribution, old) if rng.random() < 1 / 2 else None
    if near is None:
        others = [value for value in values if value != old] or values
        return rng.choice(others) if others else _placed(distribution, rng.random())
    if values:
        ordered = sorted(values)
        place = ordered.index(old) if old in ordered else 0
        return ordered[max(0, min(len(ordered) - 1, place + rng.choice((-1, 1))))]
    return _placed(distribution, min(1.0, max(0.0, rng.gauss(near, 0.1))))


def _placed(distribution: BaseDistribution, position: float) -> float:
    """The inverse of _position, for a continuous parameter."""
    assert isinstance(distribution, FloatDistribution)
    low, high = distribution.low, distribution.high
    if distribution.log:
        return min(high, max(low, math.exp(math.log(low) + position * (math.log(high) - math.log(low)))))
    return low + position * (high - low)


# ------------------------------------------------------------------------------------------------ a model's columns


class Columns:
    """Points as rows of numbers: a column for each word of a group and one for its absence, or one for a number.

    New words get new columns, to the right.
    """

    def __init__(self) -> None:
        self._group: list[int] = []  # of every column
        self._groups: dict[str, int] = {}
        self._absent: list[int] = []  # of every group: the column that says so
        self._column: dict[tuple[str, str], int] = {}
        self._rows: dict[Hashable, Array] = {}

    @property
    def group(self) -> NDArray[np.intp]:
        """(F,): the group of every column."""
        return np.array(self._group, dtype=np.intp)

    def learn(self, points: Iterable[Point]) -> None:
        """Columns for whatever there is to see of these: nothing else has rows."""
        for point in points:
            if point.key not in self._rows:
                self._make_columns(point)
                self._rows[point.key] = np.empty(0)

    def rows(self, points: Sequence[Point]) -> Array:
        """(n, F): what a model sees."""
        rows = np.empty((len(points), len(self._group)))
        for place, point in enumerate(points):
            row = self._rows[point.key]
            if len(row) < len(self._group):
                row = self._rows[point.key] = self._row(point)
            rows[place] = row
        return rows

    def _row(self, point: Point) -> Array:
        row = np.zeros(len(self._group))
        row[self._absent] = MISMATCH
        for name, value in point.seen.items():
            row[self._absent[self._groups[name]]] = 0
            if isinstance(value, str):
                row[self._column[name, value]] = MISMATCH
            else:
                row[self._column[name, ""]] = value - 0.5
        return row

    def _make_columns(self, point: Point) -> None:
        """Columns for all that is seen of a point."""
        for name, value in point.seen.items():
            if name not in self._groups:
                self._groups[name] = len(self._groups)
                self._absent.append(self._new(name))
            key = name, value if isinstance(value, str) else ""
            if key not in self._column:
                self._column[key] = self._new(name)

    def _new(self, name: str) -> int:
        self._group.append(self._groups[name])
        return len(self._group) - 1
