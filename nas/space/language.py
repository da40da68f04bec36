"""A search space file as pydantic models: every section, its keys, their defaults and what they mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from nas.errors import TopologyError
from nas.space.faults import Fault, must_be_one_of
from nas.space.values import Bytes, Choices, Count, Growth, Names, OptionValue, Reach, Seconds, Width
from nas.topology.vocabulary import HEADS, OPS, STEMS, HeadOp, Op, Option, Scalar, StemOp

MAX_STAGES = 256
MAX_BLOCKS = 1024  # of a whole chain
OBJECTIVES = {  # what a search may be after, and what is better; accuracy stands for the metric of the task
    "accuracy": "maximize",
    "params": "minimize",
    "memory": "minimize",
    "flops": "minimize",
    "latency": "minimize",
    "seconds": "minimize",
}
PRICED = ("params", "memory", "flops")  # those that are known before training

Kind = Literal["none", "add", "concat", "gate", "mul", "long"]
Join = Literal["add", "concat", "gate", "mul"]
Shortcut = Literal["project", "pad"]
Objective = Literal["accuracy", "params", "memory", "flops", "latency", "seconds"]
Sampler = Literal["topology", "tpe", "gp", "nsga2", "qmc", "random", "exhaustive"]
Proxy = Literal["params", "flops", "log_paths", "short_paths", "gradient_norm", "naswot", "jacobian", "synflow"]


class Section(BaseModel):
    """A mapping of the file. An unknown key is a fault that says which keys there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    shorthand: ClassVar[tuple[type, ...]] = ()  # what may be written for {meant: ...}
    meant: ClassVar[str] = "op"

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, data: Any) -> Any:
        data = {cls.meant: data} if isinstance(data, cls.shorthand) else data
        return cls._sorted_out(data) if isinstance(data, Mapping) else data

    @classmethod
    def _sorted_out(cls, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        check_keys(data, cls.model_fields)
        return data


def check_keys(data: Mapping[Any, Any], known: Collection[str]) -> None:
    """Raises Fault, at the key, unless every key is known."""
    for key in data:
        if key not in known:
            raise Fault(f"is unknown here: it {must_be_one_of(key, known)}", str(key))


# ------------------------------------------------------------------------------------------------------- skips


class Aligned(Section):
    """A join of equal shapes; where they differ `shortcut` makes them so: a projection, or zeros for the rest."""

    shortcut: Choices[Shortcut] = ("project",)


class Concat(Section):
    """[x, F(x)] with F `growth` wide: a share of the stage's width (0.5) or a number of channels (12)."""

    growth: Choices[Growth] = (0.5,)


class Long(Section):
    """A skip from an earlier y[j], `reach` blocks back. F keeps its width unless a `growth` is given for concat."""

    join: Choices[Join] = ("concat",)
    reach: Reach = (2, None)
    shortcut: Choices[Shortcut] = ("project",)
    growth: Choices[Growth] | None = None


class Skips(Section):
    """Which skips a block may choose, and how each is made; `where: same_shape` offers them only where F(x) has the
    shape of x.
    """

    kinds: Choices[Kind] = ("none", "add", "concat", "gate", "long")
    add: Aligned = Aligned()
    gate: Aligned = Aligned()
    mul: Aligned = Aligned()
    concat: Concat = Concat()
    long: Long = Long()
    where: Literal["any", "same_shape"] = "any"

    def changed(self, own: Skips | None) -> Skips:
        """These skips with what `own` says put in place of what is said here."""
        changed: Skips = self if own is None else _changed(self, own)
        return changed


def _changed(base: Any, own: Section) -> Any:
    said = {name: getattr(own, name) for name in own.model_fields_set}
    nested = {name: _changed(getattr(base, name), value) for name, value in said.items() if isinstance(value, Section)}
    return base.model_copy(update=said | nested)


# ------------------------------------------------------------------------------------------ stem, stages, head


class Flat(Section):
    """A section whose keys other than `keys` are options of an op: `{op: mbconv, kernel: [3, 5]}`."""

    keys: ClassVar[tuple[str, ...]] = ("op",)

    options: dict[str, Choices[OptionValue]] = Field(default_factory=dict)

    @classmethod
    def _sorted_out(cls, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        options = {str(key): value for key, value in data.items() if key not in cls.keys}
        return {key: value for key, value in data.items() if key in cls.keys} | {"options": options}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> Any:
        data = handler(self)
        flat = {key: data[key] for key in self.keys if data[key] is not None} | data["options"]
        return flat["op"] if self.shorthand and list(flat) == ["op"] else flat


class Entry(Flat):
    """One op that may be chosen: a name, or a mapping that says more than the name."""

    shorthand = (str,)
    table: ClassVar[Mapping[str, Op | StemOp | HeadOp]]

    op: str
    width: Choices[Width] | None = None
    skip: Choices[Kind] | None = None

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if self.op not in self.table:
            raise Fault(must_be_one_of(self.op, self.table), "op")
        for option in self.options:
            if option not in self.known:
                allowed = (*self.keys[1:], *self.known) or ("(none)",)
                raise Fault(f"is no option of {self.op}: it {must_be_one_of(option, allowed)}", option)
        self.check_options(self.options)
        if self.width is not None and not self.sized:
            raise Fault(f"is fixed: {self.op} has no width of its own", "width")
        return self

    @property
    def known(self) -> Mapping[str, Option]:
        """The options that the op has."""
        return self.table[self.op].options

    @property
    def sized(self) -> bool:
        """Whether the op takes a width."""
        return False

    def check_options(self, options: Mapping[str, tuple[Scalar, ...]]) -> None:
        """Raises Fault where a value is none that this op may have; options that are not its own pass."""
        for option in options.keys() & self.known.keys():
            for place, value in enumerate(options[option]):
                try:
                    self.known[option].check(f"{self.op}.{option}", value)
                except TopologyError as error:
                    raise Fault(str(error), option, place) from None

    def __repr__(self) -> str:
        return self.signature

    @property
    def signature(self) -> str:
        """`mbconv(kernel=3, expansion=3)`: the op and all that the entry says of it."""
        said = {"width": self.width, "skip": self.skip} | self.options
        words = [f"{key}={'|'.join(map(str, values))}" for key, values in said.items() if values is not None]
        return f"{self.op}({', '.join(words)})" if words else self.op


class StemEntry(Entry):
    keys = ("op", "width")
    table = STEMS

    @property
    def sized(self) -> bool:
        return not STEMS[self.op].fixed_width


class BlockEntry(Entry):
    keys = ("op", "width", "skip")
    table = OPS

    @property
    def sized(self) -> bool:
        return not OPS[self.op].keeps_width


class HeadEntry(Entry):
    table = HEADS


class Part(Flat):
    """A choice of ops, and what is said of all of them: the width, and options for the ops that have them."""

    shorthand: ClassVar[tuple[type, ...]] = (str, list, tuple)

    op: Choices[Entry]
    width: Choices[Width] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What an entry is called: its op, and all that is said of it where another entry has the same op."""
        names = [entry.op for entry in self.op]
        return tuple(entry.op if names.count(entry.op) == 1 else entry.signature for entry in self.op)

    @property
    def settings(self) -> int:
        """How many combinations of an op, its width, its options and its stride there are."""
        return sum(
            math.prod(len(entry.options.get(name) or self.options.get(name) or (None,)) for name in entry.known)
            * len(((entry.width or self.width) if entry.sized else None) or (None,))
            for entry in self.op
        )

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if len(set(self.labels)) < len(self.op):
            raise Fault(f"must hold different ops, but got {', '.join(self.labels)}", "op")
        known = {option for entry in self.op for option in entry.known}
        for option in self.options:
            if option not in known:
                raise Fault(f"is unknown here: it {must_be_one_of(option, (*self.keys, *sorted(known)))}", option)
        for entry in self.op:
            entry.check_options(self.options)
        return self


class StemPart(Part):
    """What turns the input into the first features, y[0]."""

    keys = ("op", "width")
    op: Choices[StemEntry]


class HeadPart(Part):
    """What turns the last features into the outputs."""

    op: Choices[HeadEntry]


class Stage(Part):
    """A run of blocks. Op, options and width are chosen once, or with `choose: block` for each block anew;
    `stride` is that of the first block; `skips` changes what the space says of skips.
    """

    keys = ("blocks", "op", "width", "stride", "choose", "skips")
    shorthand = ()

    blocks: Choices[int]
    op: Choices[BlockEntry]
    stride: Choices[int] = (1,)
    choose: Literal["stage", "block"] = "stage"
    skips: Skips | None = None

    @property
    def settings(self) -> int:
        return super().settings * len(self.stride)

    @field_validator("blocks", "stride")
    @classmethod
    def _bounded(cls, values: tuple[int, ...], info: Any) -> tuple[int, ...]:
        low, high = (0, MAX_BLOCKS) if info.field_name == "blocks" else (1, 64)
        for place, value in enumerate(values):
            if not low <= value <= high:
                raise Fault(f"{low} <= {info.field_name} <= {high} must hold, but got {value}", place)
        if max(values) == 0:
            raise Fault("must allow at least 1 block, but got 0")
        return values

    @field_serializer("skips")
    def _said(self, skips: Skips | None) -> Any:
        return skips and skips.model_dump(exclude_unset=True)


class Network(Section):
    """stem → the blocks of every stage → head."""

    stem: StemPart
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES, strict=False)
    head: HeadPart

    @field_validator("stages")
    @classmethod
    def _not_too_deep(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if (deepest := sum(max(stage.blocks) for stage in stages)) > MAX_BLOCKS:
            raise Fault(f"must have at most {MAX_BLOCKS} blocks in all, but got {deepest}")
        return stages


# --------------------------------------------------------------------------------------------- the other sections


class Limits(Section):
    """What a candidate may cost: parameters, bytes of training memory, FLOPs of a sample; else it is not trained."""

    params: Count | None = None
    memory: Bytes | None = None
    flops: Count | None = None


class Constraints(Limits):
    """What a candidate should cost, besides `latency` (of one sample) and `seconds` (of training): what costs more is
    trained, but ranks below all that keep to it.
    """

    latency: Seconds | None = None
    seconds: Seconds | None = None


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

    objectives      what for, at least one of OBJECTIVES; `accuracy` stands for the metric of the task, `latency` is the
                    time of one sample through the trained network (nas.network.latency), `seconds` that of its training
    constraints     what is over them is trained, but ranks below all that is not: see Constraints
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

    objectives: Names[Objective] = Field(default=("accuracy", "params", "memory"), min_length=1)
    constraints: Constraints = Constraints()
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

    @property
    def times_latency(self) -> bool:
        """Is the latency of candidates to be measured?"""
        return "latency" in self.objectives or self.constraints.latency is not None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.prefilter is not None and self.sampler == "exhaustive":
            raise Fault("must be left out where the sampler is exhaustive, which trains everything", "prefilter")
        return self


class TaskEntry(Section):
    """What candidates are evaluated on: a task by its name, or results that need no training of ours.

    of         the task: its data, or where there are results its facts
    table      a file of results (see nas.results.table)
    function   FILE.py:FUNCTION or package.module:function, which evaluates a topology (see nas.results.call)
    input, outputs, metric, direction    facts of what is evaluated, unless `of` has them
    """

    shorthand = (str,)
    meant = "of"

    of: str | None = None
    table: str | None = None
    function: str | None = None
    input: tuple[int, ...] | None = Field(default=None, strict=False)
    outputs: int | None = None
    metric: str | None = None
    direction: Literal["maximize", "minimize"] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Of the task, as this entry says them."""
        said = {name: getattr(self, name) for name in ("input", "outputs", "metric", "direction")}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def results(self) -> tuple[Literal["table", "function"], str] | None:
        """Where metrics come from instead of a training."""
        if self.table is not None:
            return "table", self.table
        return None if self.function is None else ("function", self.function)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if self.table is not None and self.function is not None:
            raise Fault("must have a table or a function, but has both")
        if self.results is None and self.of is None:
            raise Fault("must have `of`, the name of a task, or a table, or a function")
        if self.results is None and self.facts:
            raise Fault("may be said only where a table or a function has the results", next(iter(self.facts)))
        if self.of is None and not {"input", "outputs"} <= self.facts.keys():
            raise Fault("must have input and outputs, or `of`, a task that has them")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        data = {key: value for key, value in handler(self).items() if value is not None}
        return self.of if list(data) == ["of"] else data


class Definition(Section):
    """A whole file. `train` changes the recipe of the task."""

    task: TaskEntry
    network: Network
    skips: Skips = Skips()
    limits: Limits = Limits()
    train: dict[str, Any] = Field(default_factory=dict)
    search: SearchSettings = SearchSettings()
