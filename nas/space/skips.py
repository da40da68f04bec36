"""The section `skips` of a search space file: which skips a block may choose, and how each is made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, WrapValidator, create_model

from nas.errors import TopologyError
from nas.space.faults import Fault, must_be_one_of
from nas.space.sections import Section
from nas.space.values import Choices, Growth, Reach
from nas.topology import vocabulary
from nas.topology.block import MAX_SKIPS, Scale, options_of
from nas.topology.geometry import Scalar
from nas.topology.vocabulary import JOINS, SCALES, SHORTCUTS, Join, Option

KINDS = (*vocabulary.KINDS, "long")


def _one_of(words: Collection[str]) -> WrapValidator:
    """A validator that accepts these words alone."""

    def check(value: object, _: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise Fault(must_be_one_of(value, words))
        return value

    return WrapValidator(check)


def _scale(value: object, _: object) -> object:
    scale_of(value)
    return value


def scale_of(word: object) -> Scale | None:
    """Return the scale that a word of a file stands for: `one` (None), `zero`, `channel`, `channel=1e-6`. Raises Fault.

    The number is the option of the kind: where a learned factor starts, or the value of a constant one.
    """
    words = str(word).split("=", 1)
    kind = words[0]
    if not isinstance(word, str) or kind not in SCALE_WORDS:
        raise Fault(must_be_one_of(word, SCALE_WORDS))
    if kind == ONE:
        return None
    numbers, options = words[1:], [*SCALES[kind].options]
    if numbers and not options:
        raise Fault(f"is fixed: {kind} takes no number")
    try:
        return Scale(kind, dict(zip(options, map(_number, numbers), strict=False)))
    except TopologyError as error:
        raise Fault(str(error)) from None


def scale_word(scale: Scale) -> str:
    """Return the word of a file that stands for a scale."""
    return "=".join([scale.kind, *map(str, options_of(scale).values())])


def _number(text: str) -> Scalar:
    try:
        return float(text)
    except ValueError:
        return text


ONE = "one"  # no factor
SCALE_WORDS = (ONE, *SCALES)
ScaleWord = Annotated[str, WrapValidator(_scale)]
Kind = Annotated[str, _one_of(KINDS)]
JoinName = Annotated[str, _one_of(JOINS)]
Shortcut = Annotated[str, _one_of(SHORTCUTS)]


class AligningJoin(Section):
    """The choices of a join of equal shapes: where they differ, `shortcut` aligns them by a projection or by zeros."""

    shortcut: Choices[Shortcut] = ("project",)


class WideningJoin(Section):
    """The choices of a join that widens: F is `growth` wide, a share of the stage's width (0.5) or channels (12)."""

    growth: Choices[Growth] = (0.5,)


class Long(Section):
    """A skip from an earlier y[j], `reach` blocks back.

    F keeps its width, unless a `growth` is given for a join that widens.
    """

    join: Choices[JoinName] = ("concat",)
    reach: Reach = (2, None)
    shortcut: Choices[Shortcut] = ("project",)
    growth: Choices[Growth] | None = None


def _of_join(kind: str, join: Join) -> type[Section]:
    """The section of one join: how it aligns or widens, and the choices of its options.

    An option that may be `auto` is so unless the file says otherwise.
    """
    base = WideningJoin if join.widens else AligningJoin
    fields: dict[str, Any] = {}
    for name, option in join.options.items():
        default = "auto" if "auto" in option.words else option.default
        fields[name] = (Choices[_value(f"{kind}.{name}", option)], (default,))  # type: ignore[misc]
    return create_model(f"_{kind.title()}", __base__=base, __module__=__name__, **fields)


def _value(name: str, option: Option) -> Any:
    """The type of a value of the option."""

    def check(value: object, _: object) -> object:
        try:
            return option.check(name, value)
        except TopologyError as error:
            raise Fault(str(error)) from None

    return Annotated[Scalar, WrapValidator(check)]


def _of_every_join() -> type[Section]:
    """The section that has a section for every join of the vocabulary."""
    sections = {kind: _of_join(kind, join) for kind, join in JOINS.items()}
    fields: dict[str, Any] = {kind: (section, section()) for kind, section in sections.items()}
    return create_model("_Joins", __base__=Section, __module__=__name__, **fields)


class Skips(_of_every_join()):  # type: ignore[misc]  # a base that is made from the table of joins
    """Which skips a block may choose, and how each join is made: `add`, `concat` and so on are sections.

    at_most  how many skips a block may have: after its first one, each further one is `long`
    scale    the factor on each bypass: `one`, `zero`, `learned`, `channel`, `constant`, or with a number `channel=1e-6`
    branch   the factor on F(x) beside a skip
    where    `same_shape` offers skips only where F(x) has the shape of x
    """

    kinds: Choices[Kind] = ("none", "add", "concat", "gate", "long")
    long: Long = Long()
    at_most: Annotated[int, Field(ge=1, le=MAX_SKIPS)] = 1
    scale: Choices[ScaleWord] = (ONE,)
    branch: Choices[ScaleWord] = (ONE,)
    where: Literal["any", "same_shape"] = "any"

    def growths(self, kind: str) -> tuple[float, ...]:
        """Return the growths that a block may choose for a short skip of a kind that widens."""
        section: WideningJoin = getattr(self, kind)
        return section.growth

    def shortcuts(self, kind: str) -> tuple[str, ...]:
        """Return the shortcuts that a block may choose for a short skip of a kind that aligns shapes."""
        section: AligningJoin = getattr(self, kind)
        return section.shortcut

    def options(self, kind: str) -> dict[str, tuple[Scalar, ...]]:
        """Return the values that a block may choose for every option of a kind, also for a long skip of that kind."""
        return {name: getattr(getattr(self, kind), name) for name in JOINS[kind].options}

    def changed(self, own: Skips | None) -> Skips:
        """Return these skips with everything that `own` sets put in place of what is set here."""
        changed: Skips = self if own is None else _changed(self, own)
        return changed


def _changed(base: Any, own: Section) -> Any:
    said = {name: getattr(own, name) for name in own.model_fields_set}
    nested = {name: _changed(getattr(base, name), value) for name, value in said.items() if isinstance(value, Section)}
    return base.model_copy(update=said | nested)
