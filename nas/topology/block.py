"""The parts of a topology: Stem, Block, Skip, Head. Frozen, validated at construction, plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import TopologyError, expected
from nas.topology.geometry import MAX_WIDTH, Options, Scalar
from nas.topology.vocabulary import HEADS, JOINS, OPS, SHORTCUTS, STEMS, complete

Pairs = tuple[tuple[str, Scalar], ...]
MAX_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class Skip:
    """The bypass that a block joins to its F(x).

    kind      how: add, concat, gate or mul
    source    from where: None is the block's own input (a short skip); j is the output of node j (a long one),
              where node 0 is the stem and node i is block i
    shortcut  what aligns different shapes: "project" (1×1 convolution) or "pad" (zeros for the missing channels)
    options   what else the join takes (a mapping; kept complete and sorted): the `bias` of a gate, which may be "auto"
    """

    kind: str
    source: int | None = None
    shortcut: str = "project"
    options: Pairs | Options = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(complete("skip.kind", self.kind, JOINS, self.options)))
        if self.source is not None:
            _whole("skip.source", self.source, 0, MAX_BLOCKS)
        if self.shortcut not in SHORTCUTS:
            raise TopologyError(expected("skip.shortcut", self.shortcut, SHORTCUTS))


@dataclass(frozen=True, slots=True)
class Block:
    """One transformation F and the skip around it: y = σ(join(F(x), align(s))).

    width is the number of channels that F gives (None: as many as it gets), stride its reduction of the
    resolution, options what else its op takes (a mapping; kept complete and sorted).
    """

    op: str
    width: int | None = None
    stride: int = 1
    skip: Skip | None = None
    options: Pairs | Options = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(complete("block.op", self.op, OPS, self.options)))
        op = OPS[self.op]
        if self.width is not None:
            _whole("width", self.width, 1, MAX_WIDTH)
        _whole("stride", self.stride, 1, 64)
        if self.stride != 1 and not op.strided:
            raise TopologyError(f"{self.op} has no stride: stride == 1 must hold, but got {self.stride}")
        if self.skip is not None and not isinstance(self.skip, Skip):
            raise TopologyError(f"skip must be a Skip or None, but got {self.skip!r}"[:200])


@dataclass(frozen=True, slots=True)
class Stem:
    """The stem, which turns the input into the first features, y[0]. `width` is None where the op fixes it."""

    op: str
    width: int | None = None
    options: Pairs | Options = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(complete("stem.op", self.op, STEMS, self.options)))
        if STEMS[self.op].fixed_width:
            if self.width is not None:
                raise TopologyError(f"stem {self.op} has no width of its own, but got width={self.width!r}")
        else:
            _whole("stem.width", self.width, 1, MAX_WIDTH)


@dataclass(frozen=True, slots=True)
class Head:
    """The head, which turns the last features into the outputs."""

    op: str
    options: Pairs | Options = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(complete("head.op", self.op, HEADS, self.options)))


def options_of(part: Stem | Block | Skip | Head) -> dict[str, Scalar]:
    """Return the complete options of a stem, a block, a skip or a head as a dict."""
    return dict(part.options)


def _pairs(options: Mapping[str, Scalar]) -> Pairs:
    return tuple(sorted(options.items()))


def _whole(name: str, value: object, low: int, high: int) -> None:
    """Raise TopologyError unless value is an int with low <= value <= high."""
    if type(value) is not int or not low <= value <= high:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise TopologyError(f"{low} <= {name} <= {high} must hold for a whole number, but got {shown}")
