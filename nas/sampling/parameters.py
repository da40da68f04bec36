"""The domain of any Optuna study: parameters, whose distributions and conditions are learned from its trials."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampling.points import Point, mutation_count

FEW = 12  # a number with at most so many values is a word as well
ENUMERABLE = 20_000  # the most points that are all kept


class Parameters:
    """The domain of any Optuna study: the parameters of its trials, and which of them depend on which.

    distributions  name → the distribution of the parameter
    conditions     name → (parent, values): the parameter exists unless its parent has one of these values
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
        self._features = {
            (name, value): _features(name, distribution, value)
            for name, distribution in distributions.items()
            for value in _values(distribution)[:ENUMERABLE]
        }

    @classmethod
    def of(cls, distributions: Mapping[str, BaseDistribution], decided: Sequence[Mapping[str, Any]]) -> Parameters:
        """Return the domain whose conditions explain which parameters each trial has."""
        often = Counter(itertools.chain.from_iterable(decided))
        ordered = {
            name: distributions[name] for name, _ in often.most_common()
        }  # parents come before what depends on them
        return cls(ordered, {name: found for name in ordered if (found := _condition(name, decided))})

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """Return the point with these parameters; None where the conditions exclude them."""
        decided = all((name in params) == self._active(name, params) for name in self.distributions)
        return self._point(params) if decided and all(name in self.distributions for name in params) else None

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        """Return a mutated copy of `params`, or a random point if `params` is empty."""
        changed = set(rng.sample(sorted(params), mutation_count(rng, len(params)))) if params else set[str]()
        decided: dict[str, Any] = {}
        for name, distribution in self.distributions.items():
            if self._active(name, decided):
                known = name in params and name not in changed
                decided[name] = params[name] if known else _another(distribution, params.get(name), rng)
        return self._point(decided)

    def everything(self) -> Iterator[Point]:
        """Return all points, if there are at most ENUMERABLE combinations of values."""
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
        features: dict[str, str | float] = {}
        for name, value in params.items():
            features.update(self._features.get((name, value)) or _features(name, self.distributions[name], value))
        for names in self._alike:
            for value, count in Counter(params[name] for name in names if name in params).items():
                features[f"{names[0]}… {value!r}"] = 2 * count / len(names)
        return Point(dict(params), tuple(sorted(params.items())), features)


def _features(name: str, distribution: BaseDistribution, value: Any) -> dict[str, str | float]:
    """Return the features of one parameter: a number, a word, or both for a number with few values."""
    number, values = _position(distribution, value), _values(distribution)
    word = number is None or 0 < len(values) <= FEW
    return ({} if number is None else {name: number}) | ({f"{name}=": repr(value)} if word else {})


def _condition(name: str, decided: Sequence[Mapping[str, Any]]) -> tuple[str, frozenset[Any]] | None:
    """Return the parent whose value tells whether a trial has `name`, and the values without it; None without one.

    A parent exists wherever `name` does, and elsewhere too. Among several it is the one with the fewest values.
    """
    having = [params for params in decided if name in params]
    parents = []
    for parent in dict.fromkeys(itertools.chain.from_iterable(decided)):
        without = {params[parent] for params in decided if parent in params and name not in params}
        if without and all(parent in params and params[parent] not in without for params in having):
            parents.append((len({params[parent] for params in decided if parent in params}), parent, without))
    if not parents:
        return None
    _, parent, without = min(parents, key=lambda found: found[0])
    return parent, frozenset(without)


def _values(distribution: BaseDistribution) -> Sequence[Any]:
    """Return all values of the distribution; none where it is continuous."""
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
    """Return the position of a number in its range, from 0 to 1; None for a category that is no number."""
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
    """Return a value other than the old one; for a number, with probability 1/2, one near it."""
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
    """Return the value at this position of a continuous parameter: the inverse of `_position`."""
    assert isinstance(distribution, FloatDistribution)
    low, high = distribution.low, distribution.high
    if distribution.log:
        return min(high, max(low, math.exp(math.log(low) + position * (math.log(high) - math.log(low)))))
    return low + position * (high - low)
