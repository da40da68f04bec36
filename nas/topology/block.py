"""The parts of a topology: Stem, Block, Skip, Scale, Head. Frozen, validated at construction, plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nas.errors import TopologyError, expected
from nas.topology.geometry import MAX_WIDTH, Options, Scalar
from nas.topology.vocabulary import HEADS, JOINS, OPS, SCALES, SHORTCUTS, STEMS, complete

Pairs = tuple[tuple[str, Scalar], ...]
MAX_BLOCKS = 4096
MAX_SKIPS = 64  # around one block


@dataclass(frozen=True, slots=True)
class Scale:
    """The factor on a branch or on a bypass.

    kind     what it is: zero, learned, channel or constant
    options  what else it takes (a mapping; kept complete and sorted): where a learned factor starts, the value of a
             constant one, which may be "auto"
    """

    kind: str
    options: Pairs | Options = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(complete("scale", self.kind, SCALES, self.options)))


@dataclass(frozen=True, slots=True)
class Skip:
    """A bypass that a block joins to its F(x), or to what was joined before.

    kind      how: add, concat, gate, mul, mix or attend
    source    from where: None is the block's own input (a short skip); j is the output of node j (a long one),
              where node 0 is the stem and node i is block i
    shortcut  what aligns different shapes: "project" (1×1 convolution) or "pad" (zeros for the missing channels)
    options   what else the join takes (a mapping; kept complete and sorted): the `bias` of a gate, which may be "auto"
    scale     the factor on the bypass; None for 1
    """

    kind: str
    source: int | None = None
    shortcut: str = "project"
    options: Pairs | Options = ()
    scale: Scale | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(complete("skip.kind", self.kind, JOINS, self.options)))
        _check_scale("skip.scale", self.scale)
        if self.scale is not None and JOINS[self.kind].together:
            raise TopologyError(f"{self.kind} has weights of its own: it takes no scale, but got {self.scale!r}"[:200])
        if self.source is not None:
            _whole("skip.source", self.source, 0, MAX_BLOCKS)
        if self.shortcut not in SHORTCUTS:
            raise TopologyError(expected("skip.shortcut", self.shortcut, SHORTCUTS))

    @property
    def residual(self) -> bool:
        """Whether F is added to what the skip brings, so that it is a residual branch."""
        return JOINS[self.kind].residual and (self.scale is None or self.scale.kind != "zero")


@dataclass(frozen=True, slots=True, init=False)
class Block:
    """One transformation F and the skips around it: y = σ(join(… join(α·F(x), s₁) …, sₙ)).

    width    the number of channels of F(x); None: as many as those of x
    stride   how F reduces the resolution
    skips    the bypasses, in the order in which they are joined; a single one may be given alone
    options  what else the op takes (a mapping; kept complete and sorted)
    branch   α, the factor on F(x); None for 1
    """

    op: str
    width: int | None
    stride: int
    skips: tuple[Skip, ...]
    options: Pairs
    branch: Scale | None

    def __init__(
        self,
        op: str,
        width: int | None = None,
        stride: int = 1,
        skips: Iterable[Skip] | Skip | None = (),
        options: Pairs | Options = (),
        branch: Scale | None = None,
    ) -> None:
        said = _pairs(complete("block.op", op, OPS, options))
        for name, value in zip(self.__slots__, (op, width, stride, _skips(skips), said, branch), strict=True):
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        _check_scale("branch", self.branch)
        op = OPS[self.op]
        if self.width is not None:
            _whole("width", self.width, 1, MAX_WIDTH)
        _whole("stride", self.stride, 1, 64)
        if self.stride != 1 and not op.strided:
            raise TopologyError(f"{self.op} has no stride: stride == 1 must hold, but got {self.stride}")

    @property
    def joins(self) -> tuple[tuple[Skip, ...], ...]:
        """The skips of each join: one, or consecutive ones, alike in kind and options, that are joined at once."""
        found: list[list[Skip]] = []
        for skip in self.skips:
            last = found[-1][-1] if found else None
            alike = last is not None and (last.kind, last.options) == (skip.kind, skip.options)
            if alike and JOINS[skip.kind].together:
                found[-1].append(skip)
            else:
                found.append([skip])
        return tuple(map(tuple, found))


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


def options_of(part: Stem | Block | Skip | Scale | Head) -> dict[str, Scalar]:
    """Return the complete options of a stem, a block, a skip, a scale or a head as a dict."""
    return dict(part.options)


def _pairs(options: Mapping[str, Scalar]) -> Pairs:
    return tuple(sorted(options.items()))


def _skips(given: object) -> tuple[Skip, ...]:
    if given is None or isinstance(given, Skip):
        return () if given is None else (given,)
    skips = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(skip, Skip) for skip in skips):
        raise TopologyError(f"skips must be Skips, but got {given!r}"[:200])
    if len(skips) > MAX_SKIPS:
        raise TopologyError(f"at most {MAX_SKIPS} skips are allowed around a block, but got {len(skips)}")
    return skips


def _check_scale(name: str, given: object) -> None:
    if given is not None and not isinstance(given, Scale):
        raise TopologyError(f"{name} must be a Scale or None, but got {given!r}"[:200])


def _whole(name: str, value: object, low: int, high: int) -> None:
    """Raise TopologyError unless value is an int with low <= value <= high."""
    if type(value) is not int or not low <= value <= high:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise TopologyError(f"{low} <= {name} <= {high} must hold for a whole number, but got {shown}")
