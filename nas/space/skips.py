"""The section `skips` of a search space file: which skips a block may choose, and how each is made."""

from __future__ import annotations

from typing import Any, Literal

from nas.space.sections import Section
from nas.space.values import Choices, Growth, Reach

Kind = Literal["none", "add", "concat", "gate", "mul", "long"]
Join = Literal["add", "concat", "gate", "mul"]
Shortcut = Literal["project", "pad"]


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
