"""The domain of a study without a search space: its parameters and their conditions are inferred from its trials."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampling.domain import mutation_count
from nas.surrogate.points import Point

CATEGORICAL = 12  # a number with at most so many values is a categorical feature as well
ENUMERABLE = 20_000  # the most points of a domain that is enumerated


class Parameters:
    """The domain of the parameters that the trials of a study have.

    A parameter is active, that is, part of a point, if it has no condition, or if its parent is active and has none
    of the values of the condition. The key of a point is the sorted tuple of its parameters and their values.

    A numerical parameter has the feature (value − low) / (high − low), of the logarithms if its distribution is
    logarithmic. A category, and a number with at most CATEGORICAL values, is a categorical feature. If more than two
    parameters have equal distributions, the share of them that has each value, doubled, is a feature too: the number
    of layers of a kind, say.

    distributions  name → distribution, ordered so that a parent comes before the parameters that depend on it
    conditions     name → (parent, values of the parent with which the parameter is not active)
    """

    fresh = 120

    def __init__(
        self, distributions: Mapping[str, BaseDistribution], conditions: Mapping[str, tuple[str, frozenset[Any]]]
    ) -> None:
        self.distributions, self.conditions = distributions, conditions
        equal: dict[str, list[str]] = {}
        for name, distribution in distributions.items():
            equal.setdefault(repr(distribution), []).append(name)
        self._equal = [names for names in equal.values() if len(names) > 2]
        self._features = {
            (name, value): _features(name, distribution, value)
            for name, distribution in distributions.items()
            for value in _values(distribution)[:ENUMERABLE]
        }

    @classmethod
    def of(cls, distributions: Mapping[str, BaseDistribution], decided: Sequence[Mapping[str, Any]]) -> Parameters:
        """Return the domain of these distributions, with the conditions that explain which parameters each trial has.

        decided  the parameters of every trial
        """
        often = Counter(itertools.chain.from_iterable(decided))
        ordered = {name: distributions[name] for name, _ in often.most_common()}  # a parent is in more trials
        return cls(ordered, {name: found for name in ordered if (found := _condition(name, decided))})

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """Return the point with these parameters; None unless they are exactly the active ones."""
        decided = all((name in params) == self._active(name, params) for name in self.distributions)
        return self._point(params) if decided and all(name in self.distributions for name in params) else None

    def mutant(self, params: Mapping[str, Any], rng: random.Random) -> Point:
        """Return a mutated copy of `params` with `mutation_count` changed values; a random point if it is empty.

        The parameters that become active are drawn uniformly (uniformly in the logarithm, if that is their scale).
        """
        changed = set(rng.sample(sorted(params), mutation_count(rng, len(params)))) if params else set[str]()
        decided: dict[str, Any] = {}
        for name, distribution in self.distributions.items():
            if self._active(name, decided):
                known = name in params and name not in changed
                decided[name] = params[name] if known else _another(distribution, params.get(name), rng)
        return self._point(decided)

    def everything(self) -> Iterator[Point]:
        """Return all points, each once; no point if there are more than ENUMERABLE combinations of values."""
        values = [_values(distribution) for distribution in self.distributions.values()]
        if any(not given for given in values) or math.prod(map(len, values)) > ENUMERABLE:
            return
        yielded = set()
        for combination in itertools.product(*values):
            params: dict[str, Any] = {}
            for name, value in zip(self.distributions, combination, strict=True):
                if self._active(name, params):
                    params[name] = value
            point = self._point(params)
            if point.key not in yielded:
                yielded.add(point.key)
                yield point

    def _active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Return whether the parameter is active beside these values of the parameters before it."""
        if name not in self.conditions:
            return True
        parent, without = self.conditions[name]
        return parent in params and params[parent] not in without

    def _point(self, params: Mapping[str, Any]) -> Point:
        features: dict[str, str | float] = {}
        for name, value in params.items():
            features.update(self._features.get((name, value)) or _features(name, self.distributions[name], value))
        for names in self._equal:
            for value, count in Counter(params[name] for name in names if name in params).items():
                features[f"{names[0]}… {value!r}"] = 2 * count / len(names)
        return Point(dict(params), tuple(sorted(params.items())), features)


def _features(name: str, distribution: BaseDistribution, value: Any) -> dict[str, str | float]:
    """Return the features of one parameter: a number, a category, or both for a number with few values."""
    number, values = _position(distribution, value), _values(distribution)
    categorical = number is None or 0 < len(values) <= CATEGORICAL
    return ({} if number is None else {name: number}) | ({f"{name}=": repr(value)} if categorical else {})


def _condition(name: str, decided: Sequence[Mapping[str, Any]]) -> tuple[str, frozenset[Any]] | None:
    """Return the condition of a parameter: its parent, and the values of the parent without it. None if it has none.

    A parent is in every trial that has `name`, and in others, and no value of it occurs in both. If several parameters
    are possible parents, it is the one with the fewest values.
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


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether the distribution contains the value. Optuna's distributions have no public method for it."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if not isinstance(value, int | float) or not distribution.low <= value <= distribution.high:
        return False
    steps = (value - distribution.low) / distribution.step if distribution.step else 0.0
    return abs(steps - round(steps)) < 1e-8


def _values(distribution: BaseDistribution) -> Sequence[Any]:
    """Return all values of the distribution; an empty sequence if it is continuous."""
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
    """Return the position of a value in its range, from 0 to 1; None for a category.

    Categories that are at least three numbers, and nothing else, have the positions of their ranks.
    """
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
    """Return a value other than the old one, drawn uniformly; any value if `old` is None.

    For a number it is, with probability 1/2, a near one: the next smaller or larger value of a discrete range, or one
    drawn from a normal distribution whose standard deviation is 0.1 of a continuous range. Both are clipped to the
    range, so that at its ends the value may be the old one.
    """
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
