"""The sections `limits` and `search` of a search space file: what candidates may cost, and how a space is searched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nas.space.faults import Fault, first_fault, must_be_one_of, shown
from nas.space.objectives import ACCURACY, OBJECTIVES, RESERVED, Direction, Objective, costs, priced
from nas.space.sections import Section, check_keys
from nas.space.values import Names, Seconds, listed

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,39}")
DEFAULT = (ACCURACY, "params", "memory")

Sampler = Literal["topology", "tpe", "gp", "nsga2", "qmc", "random", "exhaustive"]
Proxy = Literal["params", "flops", "log_paths", "short_paths", "gradient_norm", "naswot", "jacobian", "synflow"]


class Declaration(Section):
    """An objective that the space declares: a number that the task, its table or its function reports as `name`."""

    name: str
    direction: Direction
    unit: str = Field(default="", max_length=20)
    title: str = Field(default="", max_length=40)

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in OBJECTIVES:
            raise Fault(f"is known without a declaration: write {name}")
        if name in RESERVED:
            raise Fault(f"must be another name: {name} is a column of every table of trials")
        if not NAME.fullmatch(name):
            raise Fault(f"must be a letter, then letters, digits and any of _ . / -, at most 40, but got {shown(name)}")
        return name

    @field_validator("unit", "title")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable():
            raise Fault(f"must be printable, but got {shown(text)}")
        return text

    @property
    def objective(self) -> Objective:
        """The row that this declares."""
        return Objective(self.name, self.direction, self.unit, self.title)


def _objective(value: object) -> object:
    """Return the objective of that name, or the one that a mapping declares."""
    if isinstance(value, Mapping):
        try:
            return Declaration.model_validate(value).objective
        except ValidationError as error:
            raise first_fault(error) from None
    if isinstance(value, str) and value not in OBJECTIVES:
        rule = must_be_one_of(value, OBJECTIVES)
        raise Fault(f"{rule}; what else the task reports is declared: {{name: {shown(value)}, direction: minimize}}")
    if not isinstance(value, str | Objective):
        raise Fault(f"must be a word or a mapping that declares an objective, but got {shown(value)}")
    return OBJECTIVES[value] if isinstance(value, str) else value


def _written(objective: Objective) -> str | dict[str, str]:
    """Return the objective as a space file holds it: its name, or its declaration."""
    if objective.name in OBJECTIVES:
        return objective.name
    said = {"name": objective.name, "direction": objective.direction, "unit": objective.unit}
    said |= {} if objective.title == objective.name else {"title": objective.title}
    return {key: value for key, value in said.items() if value}


def _named_once(objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
    """Raise Fault where two objectives have one name."""
    for place, objective in enumerate(objectives):
        for other in objectives[:place]:
            if objective.name == other.name:
                raise Fault(f"must be given once, but {shown(objective.name)} is there twice", place)
    return objectives


def bounds(data: object, known: Mapping[str, Objective]) -> object:
    """Return {name: bound} with every bound read as a quantity of its objective's unit; null is no bound.

    Raises Fault, at the key, for a name that is not known and for a value that is no such quantity.
    """
    if not isinstance(data, Mapping):
        return data
    check_keys(data, known)
    read: dict[str, int | float] = {}
    for name, value in data.items():
        try:
            read |= {} if value is None else {name: known[name].of_unit.read(value)}
        except ValueError as error:
            raise Fault(str(error), name) from None
    return read


Objectives = Annotated[
    tuple[Annotated[InstanceOf[Objective], BeforeValidator(_objective), PlainSerializer(_written)], ...],
    AfterValidator(_named_once),
    Field(min_length=1, max_length=1000),
    BeforeValidator(listed),
]
Bounds = dict[str, int | float]  # the name of an objective → the most that it may be; where more is better, the least
Limits = Annotated[Bounds, BeforeValidator(lambda data: bounds(data, priced()))]


class EarlyStopping(Section):
    """ASHA (Li et al. 2020): after `grace`, grace·reduction, … epochs only the best 1/reduction go on, and whoever no
    better one beats in all that the search is after (nas.searching.stopping).
    """

    shorthand = (str,)
    meant = "rule"

    rule: Literal["none", "asha"] = "asha"
    grace: int = Field(default=1, ge=1)
    reduction: int = Field(default=3, ge=2)


class Prefilter(Section):
    """Of `sample` proposals the one with the highest `proxy` is trained, and the others are forgotten."""

    shorthand = (str,)
    meant = "proxy"

    proxy: Proxy
    sample: int = Field(default=8, ge=2, le=1000)


class SearchSettings(Section):
    """How a space is searched.

    objectives      what the search is after: words of nas.space.objectives.OBJECTIVES, and declarations of what else
                    the task reports, {name: energy, direction: minimize, unit: J, title: "energy of a sample"}
    constraints     bounds of costs and of declared objectives: a candidate that breaks one is trained, but ranks
                    below all that break none
    trials, time    the search ends after so many finished candidates, or after this time (seconds)
    baselines       tried first, and named in every table: see SearchSpace.baselines
    sampler         who proposes topologies
    early_stopping  none or asha: candidates that lag behind are stopped
    proxies         computed of every candidate before it is trained: the report says what they were worth, and the
                    topology sampler sees them in whatever it thinks of (some thirty for each proposal)
    prefilter       of so many proposals the best by a proxy is trained
    repeats         once half of the trials are over, every second one evaluates a leader again with another seed, until
                    the leaders have so many results each; they are ranked by their means
    timeout         a candidate that trains for longer (seconds) has failed
    seed            of the sampler and, with the number of the trial, of every candidate
    """

    objectives: Objectives = tuple(OBJECTIVES[name] for name in DEFAULT)
    constraints: Bounds = Field(default_factory=dict)
    trials: int = Field(default=60, ge=1, le=10**7)
    time: Seconds | None = None
    baselines: Names[str] = ("plain", "resnet")
    sampler: Sampler = "topology"
    early_stopping: EarlyStopping = EarlyStopping(rule="none")
    proxies: Names[Proxy] = ()
    prefilter: Prefilter | None = None
    repeats: int = Field(default=1, ge=1, le=100)
    timeout: Seconds | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)

    @field_validator("constraints", mode="before")
    @classmethod
    def _read(cls, data: object, info: ValidationInfo) -> object:
        declared = {objective.name: objective for objective in info.data.get("objectives", ())}
        return bounds(data, costs() | {name: row for name, row in declared.items() if name != ACCURACY})

    @property
    def times_latency(self) -> bool:
        """Whether the latency of candidates is to be measured."""
        return "latency" in self.constraints or any(objective.name == "latency" for objective in self.objectives)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.prefilter is not None and self.sampler == "exhaustive":
            raise Fault("must be left out where the sampler is exhaustive, which trains everything", "prefilter")
        return self
