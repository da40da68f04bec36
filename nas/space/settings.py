"""The sections `limits` and `search` of a search space file: the bounds of costs, and the settings of the search."""

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

from nas.errors import quoted
from nas.space.faults import Fault, first_fault, must_be_one_of
from nas.space.objectives import ACCURACY, OBJECTIVES, RESERVED, Direction, Objective, costs, predicted_objectives
from nas.space.sections import Section, check_keys
from nas.space.values import Names, Seconds, as_tuple

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,39}")
DEFAULT = (ACCURACY, "params", "memory")

Sampler = Literal["topology", "tpe", "gp", "nsga2", "qmc", "random", "exhaustive"]
Logger = Literal["tensorboard", "mlflow", "wandb"]
Proxy = Literal["params", "flops", "log_paths", "short_paths", "gradient_norm", "naswot", "jacobian", "synflow"]


class Declaration(Section):
    """An objective that the space declares: a number that the task, its table or its function reports as `name`.

    unit   one of nas.space.quantities.UNITS, or any other text, which is written after the number
    title  the text above a column or beside an axis; the default is the name
    """

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
            raise Fault(f"must be a letter and then letters, digits, _ . / or -, at most 40, but got {quoted(name)}")
        return name

    @field_validator("unit", "title")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable():
            raise Fault(f"must be printable, but got {quoted(text)}")
        return text

    @property
    def objective(self) -> Objective:
        """The row of the declared objective."""
        return Objective(self.name, self.direction, self.unit, self.title)


def _read_objective(value: object) -> object:
    """Return the objective of that name, or the one that a mapping declares. Raises Fault."""
    if isinstance(value, Mapping):
        try:
            return Declaration.model_validate(value).objective
        except ValidationError as error:
            raise first_fault(error) from None
    if isinstance(value, str) and value not in OBJECTIVES:
        rule = must_be_one_of(value, OBJECTIVES)
        declaration = f"{{name: {quoted(value)}, direction: minimize}}"
        rest = f"any other number that the task reports must be declared: {declaration}"
        raise Fault(f"{rule}; {rest} (its metric is called accuracy here)")
    if not isinstance(value, str | Objective):
        raise Fault(f"must be a word or a mapping that declares an objective, but got {quoted(value)}")
    return OBJECTIVES[value] if isinstance(value, str) else value


def _written_objective(objective: Objective) -> str | dict[str, str]:
    """Return the objective as a file has it: its name, or its declaration."""
    if objective.name in OBJECTIVES:
        return objective.name
    said = {"name": objective.name, "direction": objective.direction, "unit": objective.unit}
    said |= {} if objective.title == objective.name else {"title": objective.title}
    return {key: value for key, value in said.items() if value}


def _named_once(objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
    """Return the objectives. Raises Fault if two of them have the same name."""
    for place, objective in enumerate(objectives):
        for other in objectives[:place]:
            if objective.name == other.name:
                raise Fault(f"must be given once, but {quoted(objective.name)} is there twice", place)
    return objectives


def read_bounds(data: object, known: Mapping[str, Objective]) -> object:
    """Return {name: bound} with every bound read in the unit of its objective. A bound that is null is left out.

    Raises Fault, at the key, for a name that is not `known` and for a value that cannot be read in the unit.
    """
    if not isinstance(data, Mapping):
        return data
    check_keys(data, known)
    read: dict[str, int | float] = {}
    for name, value in data.items():
        try:
            read |= {} if value is None else {name: known[name].unit_format.read(value)}
        except ValueError as error:
            raise Fault(str(error), name) from None
    return read


Objectives = Annotated[
    tuple[Annotated[InstanceOf[Objective], BeforeValidator(_read_objective), PlainSerializer(_written_objective)], ...],
    AfterValidator(_named_once),
    Field(min_length=1, max_length=1000),
    BeforeValidator(as_tuple),
]
Bounds = dict[str, int | float]  # the name of an objective → the most that it may be; where more is better, the least
Limits = Annotated[Bounds, BeforeValidator(lambda data: read_bounds(data, predicted_objectives()))]


class EarlyStopping(Section):
    """Early stopping by ASHA (Li et al. 2020), or `none`.

    After `grace`, grace·reduction, grace·reduction², … epochs a candidate is stopped unless its metric is among the
    best 1/reduction, or no other candidate dominates it in all objectives (see nas.searching.stopping).
    """

    shorthand = (str,)
    shorthand_key = "rule"

    rule: Literal["none", "asha"] = "asha"
    grace: int = Field(default=1, ge=1)
    reduction: int = Field(default=3, ge=2)


class Prefilter(Section):
    """The choice of a proposal by a proxy: of every `sample` proposals the one with the highest `proxy` is trained."""

    shorthand = (str,)
    shorthand_key = "proxy"

    proxy: Proxy
    sample: int = Field(default=8, ge=2, le=1000)


class PilotSettings(Section):
    """The first trials of a search: `topologies` drawn uniformly, each trained from `seeds` seeds."""

    topologies: int = Field(default=20, ge=3, le=1000)
    seeds: int = Field(default=2, ge=1, le=100)


class SearchSettings(Section):
    """The settings of a search.

    objectives      names of nas.space.objectives.OBJECTIVES, and declarations of other numbers that the task reports:
                    {name: energy, direction: minimize, unit: J, title: energy of a sample}
    constraints     bounds of costs and of declared objectives; a candidate that breaks one is trained, but ranks
                    below all candidates that break none
    trials          the number of finished candidates after which the search ends
    time            the time in seconds after which the search ends; None is no limit
    baselines       names of baselines, which are trained first and named in every table (see SearchSpace.baselines)
    sampler         the sampler that proposes topologies
    early_stopping  the rule that stops candidates whose metric is behind that of others
    proxies         proxies that are computed for every candidate before it is trained; the report says how well they
                    predicted the metric, and the topology sampler computes them for every topology that it considers
                    (about thirty for a proposal)
    prefilter       the choice of one among several proposals by a proxy; None trains every proposal
    repeats         the number of results that each leader should have: in the second half of the trials every second
                    one evaluates a leader again with another seed. With auto, trials go to the topologies of which
                    more results promise most for the recommendation, more of them towards the end, and none where
                    the seed does not matter. Topologies are ranked by what is expected of them, given all results
    pilot           the first trials, which tell noise from differences (`nas pilot`); with auto, a tenth of the trials
                    of a search of 200 or more with `repeats: auto`; None for no pilot
    pairs           the share of the trials that are leaders with the skip of one block changed, trained with the same
                    seed: they tell what that skip is worth (`nas effects`)
    timeout         the time in seconds after which the training of a candidate has failed; None is no limit
    retries         the number of times that a candidate is trained whose process dies, before it has failed
    seed            the seed of the sampler and of every candidate
    log_to          the tools that get every epoch and every result as well (nas.searching.loggers)
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
    repeats: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = "auto"
    pilot: PilotSettings | Literal["auto"] | None = "auto"
    pairs: float = Field(default=0.0, ge=0, le=1)
    timeout: Seconds | None = None
    retries: int = Field(default=3, ge=1, le=100)
    seed: int = Field(default=0, ge=0, lt=2**32)
    log_to: Names[Logger] = ()

    @field_validator("constraints", mode="before")
    @classmethod
    def _read(cls, data: object, info: ValidationInfo) -> object:
        declared = {objective.name: objective for objective in info.data.get("objectives", ())}
        return read_bounds(data, costs() | {name: row for name, row in declared.items() if name != ACCURACY})

    @property
    def times_latency(self) -> bool:
        """Whether the latency of candidates is to be measured."""
        return "latency" in self.constraints or any(objective.name == "latency" for objective in self.objectives)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.prefilter is not None and self.sampler == "exhaustive":
            raise Fault("must be left out if the sampler is exhaustive, which trains every topology", "prefilter")
        return self
