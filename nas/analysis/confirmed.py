"""What a confirmation tells: means with intervals, paired differences, and what to choose.

Networks are compared on the test split where there is one, seed by seed (nas.analysis.paired). The one that is called
the best, the baseline that it is compared with and the smallest within noise were chosen by validation, or by the
search where weights were trained on validation.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nas import units
from nas.analysis.paired import Difference, Figure, Floats, differences, figure_of, written
from nas.files import write_whole
from nas.space import Objective
from nas.space.quantities import UNITS, Unit
from nas.study.attributes import MEASURED, METRICS
from nas.study.confirmation import Confirmation, Network, Plan
from nas.study.plain import as_json
from nas.study.retraining import failed, numbers
from nas.tasks.splits import TEST

if TYPE_CHECKING:
    from nas.study import Run


@dataclass(frozen=True)
class ConfirmedNetwork:
    """The findings on one network, from all its trainings.

    trial       the number of its best training by validation in the confirmation; None if none ended well
    failed      how many of its trainings failed
    validation  the metric on validation; None if it was trained on
    test        the metric on the test split; None if the results come from a table or a function
    ahead       how much better it is than the best baseline, on what networks are compared by; None for that baseline,
                and without one
    behind      how much worse it is than the best network; None for that
    """

    network: Network
    trial: int | None
    failed: int
    validation: Figure | None
    test: Figure | None
    ahead: Difference | None = None
    behind: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data; `trial` is that of the search, `weights` that of the confirmation."""
        told = {name: value for name, value in dataclasses.asdict(self).items() if name not in ("network", "trial")}
        return self.network.model_dump() | {"weights": self.trial} | told


@dataclass(frozen=True)
class Confirmed:
    """The findings of a confirmation, its networks from the best on.

    target    the metric
    plan      what was asked for
    ended     how many trainings have ended
    baseline  the place of the best baseline; None without one
    smallest  the place of the smallest network within one standard error of the best (Breiman et al. 1984)
    """

    target: Objective
    plan: Plan
    ended: int
    networks: tuple[ConfirmedNetwork, ...]
    baseline: int | None
    smallest: int

    @property
    def best(self) -> ConfirmedNetwork:
        """The network to choose."""
        return self.networks[0]

    @property
    def complete(self) -> bool:
        """Whether every training of the plan has ended."""
        return self.ended == len(self.plan.networks) * len(self.plan.seeds)

    @property
    def on_test(self) -> bool:
        """Whether networks are compared on the test split."""
        return self.best.test is not None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data for JSON; a number that is not known is None."""
        named = {"metric": self.target.name, "direction": self.target.direction, "complete": self.complete}
        named |= {"best": self.best.network.name, "verdict": self.verdict()}
        plan = self.plan.model_dump(mode="json", exclude={"networks"})
        networks = [one.to_dict() for one in self.networks]
        known: dict[str, Any] = as_json(named | plan | {"networks": networks})
        return known

    def verdict(self) -> list[str]:
        """Return in plain sentences what to choose, and how sure that is."""
        return [*self._lead(), *self._tied(), *self._shrinkage(), *self._smaller(), *self._caution()]

    def _lead(self) -> list[str]:
        best, name, on = self.best, self.best.network.name, "on the test split" if self.on_test else "on validation"
        if best.trial is None:
            return ["No training came to its end: nothing is confirmed."]
        if self.baseline is None:
            return [f"{name} is the best of those that were confirmed, and there is no baseline beside it."]
        baseline = self.networks[self.baseline]
        other = baseline.network.name
        if self.baseline == 0:
            return [f"By validation, nothing here is better than the baseline {other}.", *self._next_best(on)]
        if best.ahead is None or math.isnan(best.ahead.figure.half_width):
            return [f"{name} is the best, but more seeds are needed to tell how sure that is."]
        how, size = self._how_far(best.ahead, on), self._size(best, baseline)
        if best.ahead.separated and best.ahead.figure.mean > 0:
            return [f"{name} is {how[0]} {other} {how[1]}, with {size}."]
        return [f"Nothing here is better than {other} beyond noise: {name} is {how[0]} it {how[1]}, with {size}."]

    def _next_best(self, on: str) -> list[str]:
        """Return how far the best candidate is behind a baseline that is the best of all."""
        one = next((one for one in self.networks if not one.network.baseline), None)
        if one is None or one.ahead is None or math.isnan(one.ahead.figure.half_width):
            return []
        how = self._how_far(one.ahead, on)
        return [f"The best candidate, {one.network.name}, is {how[0]} it {how[1]}, with {self._size(one, self.best)}."]

    def _how_far(self, ahead: Difference, on: str) -> tuple[str, str]:
        """Return ("1.1 ± 0.4 points better than", "on the test split (5 paired seeds)")."""
        lead = ahead.figure
        amount = f"{self.unit.amount(lead.mean)} ± {self.unit.amount(lead.half_width)}"
        word = f"{self.unit.word} {'better' if lead.mean >= 0 else 'worse'} than"
        return amount + word, f"{on} ({lead.n} paired seeds)"

    @staticmethod
    def _size(one: ConfirmedNetwork, other: ConfirmedNetwork) -> str:
        return f"{100 * one.network.params / other.network.params:.0f} % of its parameters"

    def _tied(self) -> list[str]:
        names = [one.network.name for one in self.networks if one.behind is not None and one.behind.tied]
        return [f"{self.best.network.name} is not distinguishable from {_listed(names)}."] if names else []

    def _shrinkage(self) -> list[str]:
        one = self.best
        if one.validation is None or math.isnan(one.validation.half_width):
            return []
        searched = self.show(one.network.searched)
        found = written(one.validation, self.unit, self.show)
        return [f"On validation it had {searched} in the search, and has {found} with new seeds."]

    def _smaller(self) -> list[str]:
        if self.smallest == 0:
            return []
        one = self.networks[self.smallest]
        near = f"within one standard error of {self.best.network.name}"
        return [f"The smallest network {near} is {one.network.name}, with {self._size(one, self.best)}."]

    def _caution(self) -> list[str]:
        failed = [f"{one.network.name} ({one.failed})" for one in self.networks if one.failed]
        words = [f"Trainings that failed are left out: {_listed(failed)}."] if failed else []
        missing = len(self.plan.networks) * len(self.plan.seeds) - self.ended
        return words + ([f"{missing} trainings are still to be done."] if missing else [])

    @property
    def unit(self) -> Unit:
        """The unit of the metric."""
        figures = (figure for one in self.networks for figure in (one.validation, one.test))
        return self.target.unit_of(figure.mean for figure in figures if figure is not None and figure.n)

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share, which is shown in percent."""
        return self.unit is UNITS["share"]

    def show(self, value: float | None) -> str:
        """Return a value of the metric as people read it."""
        return units.share(value) if self.is_share else units.metric(value)


def confirmed_of(run: Run) -> Confirmed | None:
    """Return what the last confirmation of a run tells; None if nothing was confirmed, or nothing has ended yet.

    Raises RunError if its study is damaged.
    """
    confirmation = Confirmation(run)
    plan = confirmation.plan
    if plan is None:
        return None
    ended = confirmation.ended(plan)
    metric, target = run.space.task.metric, run.space.goals.target
    table: dict[str, dict[str, Floats]] = {}
    found: list[ConfirmedNetwork] = []
    count = 0
    for network in plan.networks:
        trials = ended[network.key]
        count += sum(trial is not None for trial in trials)
        validation = np.array(numbers(trials, METRICS, metric))
        test = np.array(numbers(trials, MEASURED, TEST + metric))
        table[network.key] = {"validation": validation, "test": test}
        place = _kept(validation, plan, target)
        found.append(
            ConfirmedNetwork(
                network,
                trial=None if place is None else trials[place].number,  # type: ignore[union-attr]
                failed=failed(trials),
                validation=figure_of(validation) if plan.train_on == "train" else None,
                test=figure_of(test) if not np.isnan(test).all() else None,
            )
        )
    if not count:
        return None
    return _compared(found, table, plan, count, target)


def _kept(validation: Floats, plan: Plan, target: Objective) -> int | None:
    """Return the place of the training whose weights were kept: the best on validation, or if that was trained on the
    first; None if none ended well.
    """
    ended = np.flatnonzero(np.isfinite(validation))
    if not len(ended) or plan.train_on != "train":
        return next(map(int, ended), None)
    return int(min(ended, key=lambda place: target.loss(float(validation[place]))))


def _compared(
    networks: Sequence[ConfirmedNetwork],
    table: Mapping[str, Mapping[str, Floats]],
    plan: Plan,
    ended: int,
    target: Objective,
) -> Confirmed:
    """Return the networks in the order of what chooses them, each compared with the best and with the best baseline."""

    def loss(one: ConfirmedNetwork) -> float:
        value = one.validation.mean if one.validation is not None else one.network.expected
        return math.inf if math.isnan(value) or one.trial is None else target.loss(value)

    order = sorted(networks, key=lambda one: (loss(one), one.network.params))
    baseline = next((place for place, one in enumerate(order) if one.network.baseline and one.trial is not None), None)
    split = "test" if order[0].test is not None else "validation"
    values = [table[one.network.key][split] for one in order]
    sign = 1.0 if target.direction == "maximize" else -1.0
    behind = differences([sign * (values[0] - other) for other in values[1:]])
    ahead: dict[int, Difference] = {}
    if baseline is not None:
        for family in (False, True):  # that a baseline is worse than another one is no claim of the search
            others = [p for p, one in enumerate(order) if p != baseline and one.network.baseline == family]
            found = differences([sign * (values[place] - values[baseline]) for place in others])
            ahead |= zip(others, found, strict=True)
    compared = tuple(
        dataclasses.replace(one, ahead=ahead.get(place), behind=behind[place - 1] if place else None)
        for place, one in enumerate(order)
    )
    return Confirmed(target, plan, ended, compared, baseline, _smallest(compared, sign))


def _smallest(networks: Sequence[ConfirmedNetwork], sign: float) -> int:
    """Return the place of the network with the fewest parameters within one standard error of the best."""
    first = networks[0].validation
    if first is None or math.isnan(first.standard_error):
        return 0
    near = [
        place
        for place, one in enumerate(networks)
        if one.validation is not None and sign * (first.mean - one.validation.mean) <= first.standard_error
    ]
    return min(near, key=lambda place: (networks[place].network.params, place))


def write_confirmed(run: Run, found: Confirmed) -> None:
    """Write confirm.json into the folder of a run."""
    text = json.dumps({"run": run.name, **found.to_dict()}, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(run.path / "confirm.json", text)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
