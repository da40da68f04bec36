"""Objectives: what a search may be after. Everything that the package knows of one is its row in OBJECTIVES.

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
    """One objective.

    name             how a space file, the record and the columns of tables name it
    direction        what is better
    unit             one of nas.space.quantities.UNITS, or any other, such as "J"
    title            what people read above a column or beside an axis; the default is the name
    before_training  whether `nas.cost.measure` tells it of an untrained candidate: then `limits` may bound it
    in_every_report  whether a report draws the metric against it even where it is no objective of the search
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
    def of_unit(self) -> Unit:
        """How its values are read, written and drawn."""
        return unit(self.unit)

    @property
    def comparison(self) -> str:
        """The sign that a value within a bound fulfils: ≤ or ≥."""
        return "≥" if self.direction == "maximize" else "≤"

    def loss(self, value: float) -> float:
        """The value, or where more is better its negative: smaller is better."""
        return -value if self.direction == "maximize" else value

    def excess(self, value: float, bound: float) -> float:
        """By how much the value breaks the bound, as a share of the bound: positive is broken."""
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

# columns of Run.frame and of a leaderboard, and what every epoch reports: no objective may have their names
RESERVED = frozenset(
    (
        *("trial", "state", "reason", "baseline", "key", "line", "epochs", "seed", "started", "ended", "reused"),
        *("curve", "topology", "proxies", "rank", "name", "skips", "pareto", "feasible", "seeds", "sd", "epoch"),
    )
)


def costs() -> dict[str, Objective]:
    """Return every row but that of the task's metric, by name."""
    return {name: row for name, row in OBJECTIVES.items() if name != ACCURACY}


def priced() -> dict[str, Objective]:
    """Return the rows that are known before training, by name."""
    return {name: row for name, row in OBJECTIVES.items() if row.before_training}


@dataclass(frozen=True)
class Goals:
    """What one search is after.

    target       the task's metric, by which candidates are ranked
    objectives   in their order; that of the metric is `target`
    constraints  the name of an objective → the bound that its values should keep
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
        """What is better for each objective, in their order."""
        return [objective.direction for objective in self.objectives]

    @cached_property
    def columns(self) -> dict[str, Objective]:
        """Everything that is recorded of a candidate, by name: the metric, the costs, and what the space declares."""
        return {self.metric: self.target} | {
            row.name: row for row in (*costs().values(), *self.objectives) if row.name != self.metric
        }

    def losses(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the values of the objectives with the signs that make smaller better."""
        return tuple(row.loss(value) for row, value in zip(self.objectives, values, strict=True))

    def titles(self) -> list[str]:
        """Return the titles of the objectives, in their order."""
        return [objective.title for objective in self.objectives]

    def bounds(self) -> Iterable[tuple[Objective, float]]:
        """Return every constraint as an objective and its bound."""
        return [(self.columns[name], bound) for name, bound in self.constraints.items()]
