"""The types of the values in a space file. One rule: wherever a value may stand, a list is a choice."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WrapValidator

from nas.errors import quoted
from nas.space import quantities
from nas.space.faults import Fault
from nas.topology.geometry import MAX_WIDTH, Scalar

FAR = 10**6  # blocks: more than any network has
T = TypeVar("T")


def as_tuple(value: object) -> object:
    """Return a list as a tuple, and any other value as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return the values. Raises Fault if two of them are equal."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise Fault(f"must be given once, but {quoted(value)} is there twice", place)
    return values


def _option(value: object) -> Scalar:
    """Return the value of an option. Raises Fault unless it is a number, a word or a truth value."""
    if isinstance(value, int | float | str):
        return value
    raise Fault(f"must be a number, a word, true or false, but got {quoted(value)}")


def _growth(value: object) -> int | float:
    """Return a growth: a whole number of channels, or a fraction of the stage's width. Raises Fault."""
    if (type(value) is int and 1 <= value <= MAX_WIDTH) or (isinstance(value, float) and 0 < value <= 16):
        return value
    raise Fault(f"must be a number of channels (12) or a share of the width (0.5), but got {quoted(value)}")


def _reach(value: object) -> tuple[int, int | None]:
    """Return (nearest, farthest), both inclusive, in blocks. Raises Fault.

    In the file `farthest` may be null, which is no bound (None); a single number is the only distance.
    """
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) == 2 and type(pair[0]) is int and (pair[1] is None or type(pair[1]) is int):
        nearest, farthest = pair
        if 2 <= nearest <= (FAR if farthest is None else farthest) <= FAR:
            return nearest, farthest
    rule = "[nearest, farthest] in blocks, with 2 <= nearest <= farthest: a skip around one block is a short one"
    raise Fault(f"must be {rule}, but got {quoted(value)}")


Choices = Annotated[
    tuple[T, ...],
    AfterValidator(_distinct),
    Field(min_length=1, max_length=1000),
    BeforeValidator(as_tuple),
    PlainSerializer(lambda values: values[0] if len(values) == 1 else list(values)),
]
Names = Annotated[  # a list whose values are all used, so that it is no choice
    tuple[T, ...], AfterValidator(_distinct), Field(max_length=1000), BeforeValidator(as_tuple), PlainSerializer(list)
]

OptionValue = Annotated[Scalar, WrapValidator(lambda value, _: _option(value))]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Growth = Annotated[int | float, WrapValidator(lambda value, _: _growth(value))]
Reach = Annotated[tuple[int, int | None], WrapValidator(lambda value, _: _reach(value)), PlainSerializer(list)]

Seconds = Annotated[float, BeforeValidator(quantities.duration)]
