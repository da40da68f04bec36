"""The objectives of searches. Everything that the package knows about an objective is its row in OBJECTIVES.

To add an objective, add its row here, and where nothing measures it yet, measure it:

- known before training: as a field of `nas.cost.Cost` with the objective's name;
- known after training: in `measured` of `nas.training.evaluate.Evaluator`, or as a metric that the task reports.

The search space language, the record, the tables, the figures, the report and the card follow from the row. A space
file may declare objectives of its own, which are rows like these: see nas.space.settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from nas.space.quantities import Unit, unit

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """A number of every candidate that a search optimises, shows, or bounds.

    name             how a space file, the record and the columns of tables name it
    direction        whether larger or smaller values are better
    unit             one of nas.space.quantities.UNITS, or any other, such as "J"
    title            the text above a column or beside an axis; the default is the name
    before_training  whether `nas.cost.measure` gives it for an untrained candidate, so that `limits` may bound it
    in_every_report  whether a report plots the metric against it even if it is no objective of the search
    """

    name: str
    direction: Direction
    unit: str = ""
    title: str = ""
    before_training: bool = False
    in_every_report: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)

    @property
    def unit_format(self) -> Unit:
        """The row of the unit: how values are read, written and drawn."""
        return unit(self.unit)

    @property
    def comparison(self) -> str:
        """The sign that a value within a bound fulfils: ≤ or ≥."""
        return "≥" if self.direction == "maximize" else "≤"

    def unit_of(self, values: Iterable[float]) -> Unit:
        """Return how these values are written: a share if it has no unit, more is better, and all are within 0 … 1."""
        is_share = not self.unit and self.direction == "maximize" and all(0 <= value <= 1 for value in values)
        return unit("share") if is_share else self.unit_format

    def loss(self, value: float) -> float:
        """Return the value with the sign that makes smaller better."""
        return -value if self.direction == "maximize" else value

    def excess(self, value: float, bound: float) -> float:
        """Return how far the value is beyond the bound, as a fraction of the bound; positive breaks it."""
        return self.loss(value - bound) / (abs(bound) or 1.0)


ACCURACY = "accuracy"
OBJECTIVES: dict[str, Objective] = {
    row.name: row
    for row in (
        Objective(ACCURACY, "maximize"),  # stands for the task's metric, whatever its name and direction
        Objective("params", "minimize", "count", before_training=True, in_every_report=True),
        Objective("memory", "minimize", "bytes", before_training=True, in_every_report=True),  # peak of a training step
        Objective("flops", "minimize", "count", "FLOPs", before_training=True),  # multiply-adds of one sample
        Objective("latency", "minimize", "s/sample"),  # of the trained network (nas.network.latency)
        Objective("seconds", "minimize", "s", "time"),  # of the training
    )
}

# the other columns of Run.frame and of a leaderboard, and the epoch: names that no objective may have
RESERVED = frozenset(
    (
        *("trial", "state", "reason", "baseline", "key", "line", "epochs", "seed", "started", "ended", "reused"),
        *("curve", "topology", "proxies", "rank", "name", "skips", "pareto", "knee", "feasible", "seeds", "sd"),
        *("epoch", "expected", "half_width", "behind", "behind_half_width", "tied"),
    )
)


def costs() -> dict[str, Objective]:
    """Return all rows without that of the task's metric, by name."""
    return {name: row for name, row in OBJECTIVES.items() if name != ACCURACY}


def predicted_objectives() -> dict[str, Objective]:
    """Return the rows of the objectives that are known before training, by name."""
    return {name: row for name, row in OBJECTIVES.items() if row.before_training}


@dataclass(frozen=True)
class Goals:
    """The goals of one search.

    target       the task's metric, by which candidates are ranked
    objectives   the objectives in their order; that of the metric is `target`
    constraints  the name of an objective → the bound of its values
    """

    target: Objective
    objectives: tuple[Objective, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The name of the task's metric."""
        return self.target.name

    @property
    def names(self) -> list[str]:
        """The names of the objectives, in their order."""
        return [objective.name for objective in self.objectives]

    @property
    def directions(self) -> list[Direction]:
        """The direction of each objective, in their order."""
        return [objective.direction for objective in self.objectives]

    @cached_property
    def columns(self) -> dict[str, Objective]:
        """The recorded numbers of a candidate, by name: the metric, the costs, and the objectives of the space."""
        return {self.metric: self.target} | {
            row.name: row for row in (*costs().values(), *self.objectives) if row.name != self.metric
        }

    def losses(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the values of the objectives, in their order, with the signs that make smaller better."""
        return tuple(row.loss(value) for row, value in zip(self.objectives, values, strict=True))

    def titles(self) -> list[str]:
        """Return the titles of the objectives, in their order."""
        return [objective.title for objective in self.objectives]

    def bounds(self) -> Iterable[tuple[Objective, float]]:
        """Return every constraint as an objective and its bound."""
        return [(self.columns[name], bound) for name, bound in self.constraints.items()]
