"""The section `network` of a search space file: the stem, the stages of blocks and the head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from nas.errors import TopologyError
from nas.space.faults import Fault, must_be_one_of
from nas.space.sections import OpSection, Section
from nas.space.skips import Kind, Skips
from nas.space.values import Choices, Width
from nas.topology.geometry import Scalar
from nas.topology.vocabulary import HEADS, OPS, STEMS, HeadOp, Op, Option, StemOp

MAX_STAGES = 256
MAX_BLOCKS = 1024  # of a whole chain


class OpEntry(OpSection):
    """An op that may be chosen: its name, or a mapping with its name and its own choices."""

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
        """Raise Fault for a value that this op may not have; options of other ops are not checked."""
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
        """The op and everything that the entry states: `mbconv(kernel=3, expansion=3)`."""
        said = {"width": self.width, "skip": self.skip} | self.options
        words = [f"{key}={'|'.join(map(str, values))}" for key, values in said.items() if values is not None]
        return f"{self.op}({', '.join(words)})" if words else self.op


class StemEntry(OpEntry):
    """A stem that may be chosen."""

    keys = ("op", "width")
    table = STEMS

    @property
    def sized(self) -> bool:
        """Whether the op takes a width."""
        return not STEMS[self.op].fixed_width


class BlockEntry(OpEntry):
    """An op of a block that may be chosen; it may have a choice of skips of its own."""

    keys = ("op", "width", "skip")
    table = OPS

    @property
    def sized(self) -> bool:
        """Whether the op takes a width."""
        return not OPS[self.op].keeps_width


class HeadEntry(OpEntry):
    """A head that may be chosen."""

    table = HEADS


class OpChoice(OpSection):
    """A choice of ops, with a width for all of them and options for those that have them."""

    shorthand: ClassVar[tuple[type, ...]] = (str, list, tuple)

    op: Choices[OpEntry]
    width: Choices[Width] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each entry: its op, or its signature where another entry has the same op."""
        names = [entry.op for entry in self.op]
        return tuple(entry.op if names.count(entry.op) == 1 else entry.signature for entry in self.op)

    @property
    def settings(self) -> int:
        """The number of combinations of an op, its width, its options and its stride."""
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


class StemChoice(OpChoice):
    """The choice of the stem, which turns the input into the first features, y[0]."""

    keys = ("op", "width")
    op: Choices[StemEntry]


class HeadChoice(OpChoice):
    """The choice of the head, which turns the last features into the outputs."""

    op: Choices[HeadEntry]


class Stage(OpChoice):
    """A run of blocks.

    Op, options and width are chosen once for the stage, or with `choose: block` once for each block. `stride` is that
    of the first block; the others have 1. `skips` changes the skips of the space for this stage.
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
        """The number of combinations of an op, its width, its options and its stride."""
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
    """The choices of a whole network: stem → the blocks of every stage → head."""

    stem: StemChoice
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES, strict=False)
    head: HeadChoice

    @field_validator("stages")
    @classmethod
    def _not_too_deep(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if (deepest := sum(max(stage.blocks) for stage in stages)) > MAX_BLOCKS:
            raise Fault(f"must have at most {MAX_BLOCKS} blocks in all, but got {deepest}")
        return stages
