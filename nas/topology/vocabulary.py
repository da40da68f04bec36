"""The words of a topology: every op, stem, head and join, with its options and its rules of shape. No torch.

A row says what a word means to everything that reads topologies: shapes, spaces, networks, costs, exports, pictures.
The rows stand beside the classes that compute them, as literals at the top of the files in nas/network/ops, so that a
new op is one file. They are read from the text of these files (`declared`): knowing the words needs no torch.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nas.errors import TopologyError, expected
from nas.topology.geometry import LAYOUTS, SIZES, STEM_SHAPES, UNSTRIDED, Options, Scalar, Shape, Size

SHORTCUTS = ("project", "pad")  # He et al. 2015: option B, option A
NAMES = {int: "a whole number", float: "a number", bool: "true or false"}  # of the types of options, in messages
OPS_FOLDER = Path(__file__).parents[1] / "network" / "ops"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an op: its default (which fixes the type), and the bounds or the choices of its value.

    words          words that may stand for a number
    odd            the value must be odd
    divides_width  the value must divide the width of F(x): heads, or a bottleneck's expansion; of several options of an
                   op the product must
    """

    default: Scalar
    low: float = 1
    high: float = 4096
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    odd: bool = False
    divides_width: bool = False

    def check(self, name: str, value: object) -> Scalar:
        """Return the value if it is allowed, a whole number as a float where the default is one.

        Raises TopologyError.
        """
        if isinstance(self.default, str):
            if value not in self.choices:
                raise TopologyError(expected(name, value, self.choices))
            return str(value)
        if isinstance(value, str) and value in self.words:
            return value
        wanted = type(self.default)
        if type(value) is not wanted and (type(value), wanted) != (int, float):
            allowed = " or ".join((NAMES[wanted], *self.words))
            raise TopologyError(f"{name} must be {allowed}, but got {_short(value)}")
        if isinstance(value, bool):
            return value
        assert isinstance(value, int | float)
        if not self.low <= value <= self.high:
            raise TopologyError(f"{self.low:g} <= {name} <= {self.high:g} must hold, but got {_short(value)}")
        if wanted is float:
            return float(value) + 0.0  # −0 is 0, so that it has the same key
        if self.odd and value % 2 == 0:
            raise TopologyError(f"{name} must be odd, but got {value}")
        return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True, slots=True)
class Op:
    """The meaning of a name of a block's transformation F.

    module        the class that computes F: one of nas.network.ops, or torch's own (`nn.MaxPool2d`)
    layouts       the layouts of features that F reads
    options       the options of the op
    size_rule     how the size of F(x) follows from that of x: a name of nas.topology.geometry.SIZES
    arguments     how the class is called: a name of nas.network.blueprint.TRANSFORMS
    keeps_width   F(x) is as wide as x, and the op takes no width
    is_identity   F(x) is x itself where neither width nor size change
    after         σ, which follows the join: "relu" or nothing
    preactivated  F begins with its norm and activation, so that a projecting shortcut is a bare convolution of the
                  activated input (He et al. 2016)
    gate_kernel   a gate beside F sees through F's own kernel (Srivastava et al. 2015)
    linear_maps   the linear maps of the class, the one that ends F last: a language model draws them as GPT-2
    last_norm     the norm with which the class ends; `init: zero_residual` starts it at 0
    """

    module: str
    layouts: tuple[str, ...] = ("image",)
    options: Mapping[str, Option] = field(default_factory=dict)
    size_rule: str = "window"
    arguments: str = "widths"
    keeps_width: bool = False
    is_identity: bool = False
    after: str | None = None
    preactivated: bool = False
    gate_kernel: bool = False
    linear_maps: tuple[str, ...] = ()
    last_norm: str | None = None

    def __post_init__(self) -> None:
        _check_names("layout", self.layouts, LAYOUTS)
        _check_names("size_rule", (self.size_rule,), SIZES)

    @property
    def strided(self) -> bool:
        """Whether the op takes a stride."""
        return self.size_rule not in UNSTRIDED

    def size(self, size: Size, stride: int, options: Options) -> Size:
        """Return the size of F(x) for x of `size`."""
        return SIZES[self.size_rule](size, stride, options)

    def follows(self, options: Options) -> str | None:
        """Return σ, which follows the joins: "relu", "norm" (a post-norm Transformer layer) or None."""
        return "norm" if options.get("norm") == "post" else self.after


@dataclass(frozen=True, slots=True)
class StemOp:
    """The meaning of a name of a stem.

    module       the class that computes the first features
    shape_rule   how their shape follows from the input's: a name of nas.topology.geometry.STEM_SHAPES
    options      the options of the stem
    fixed_width  the stem takes no width
    """

    module: str
    shape_rule: str
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed_width: bool = False

    def __post_init__(self) -> None:
        _check_names("shape_rule", (self.shape_rule,), STEM_SHAPES)

    @property
    def reads_tokens(self) -> bool:
        """Whether the input is a sequence of whole numbers below the option `vocabulary`."""
        return self.shape_rule == "tokens"

    def shape(self, input: tuple[int, ...], width: int | None, options: Options) -> Shape:
        """Return the shape of the first features for an input of this shape. Raises TopologyError."""
        return STEM_SHAPES[self.shape_rule](input, width or 0, options)


@dataclass(frozen=True, slots=True)
class HeadOp:
    """The meaning of a name of a head.

    modules   layout of the features that it reads → the class that computes the outputs
    options   the options of the head
    output    what there is one output vector of: the "sample", every "pixel" of the input, every "token" of it
    tied      the last layer shares its weight with the stem's embedding, so that outputs must equal its vocabulary
    requires  an option of the stem that must be true, for a head that reads what this option adds
    """

    modules: Mapping[str, str]
    options: Mapping[str, Option] = field(default_factory=dict)
    output: str = "sample"
    tied: bool = False
    requires: str | None = None

    def __post_init__(self) -> None:
        _check_names("layout", self.modules, LAYOUTS)
        _check_names("output", (self.output,), ("sample", "pixel", "token"))

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts of features that the head reads."""
        return tuple(self.modules)


@dataclass(frozen=True, slots=True)
class Join:
    """The meaning of a kind of skip: how a bypass s is joined to f = F(x), and how that is written and drawn.

    module       the class that joins images
    flat_module  the class that joins vectors and sequences, where it is another one
    arguments    how the class is called: a name of nas.network.blueprint.JOINS_CALLED
    options      the options of the join
    expression   the join as Python code of f, s and dim (the dimension of the channels), for the exported file;
                 None for a join with parameters, which stays a module called with (f, s, x), or as `together` says
    aligns       "shape": s gets the shape of f, by a shortcut where they differ; "size": s only gets the size of f,
                 and the widths add up
    together     consecutive skips of this kind with the same options are one join, called with (f, s₁, …, sₙ), and it
                 has weights of its own
    commutes     the order of consecutive skips of this kind does not matter
    residual     whether y is s and what F adds to it, so that F is a residual branch
    baseline     the name of the baseline that has this skip around every block
    symbol       one character that stands for the kind in a line of text
    formula      the join as a formula
    light, dark  colours on a light and on a dark page
    terminal     one of the sixteen colours that every terminal's theme defines
    dash         an SVG stroke-dasharray; "none" is a solid line
    strokes      the box characters of an arc: horizontal, vertical, left and right upper corner
    """

    module: str
    symbol: str
    formula: str
    light: str
    dark: str
    terminal: str
    dash: str
    strokes: tuple[str, str, str, str]
    expression: str | None = None
    flat_module: str | None = None
    arguments: str = "none"
    options: Mapping[str, Option] = field(default_factory=dict)
    aligns: str = "shape"
    together: bool = False
    commutes: bool = False
    residual: bool = False
    baseline: str | None = None

    def __post_init__(self) -> None:
        _check_names("aligns", (self.aligns,), ("shape", "size"))

    @property
    def widens(self) -> bool:
        """Whether the output is wider than F(x), by the width of s."""
        return self.aligns == "size"


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """The meaning of a kind of factor on a branch or a bypass.

    module       the class that multiplies
    arguments    how the class is called: a name of nas.network.blueprint.SCALES_CALLED
    options      the options of the factor
    expression   the product as Python code of t and of the options, for the exported file; None for a class with
                 parameters
    symbol       one character that stands for the kind in a line of text
    """

    module: str
    symbol: str
    arguments: str = "none"
    options: Mapping[str, Option] = field(default_factory=dict)
    expression: str | None = None


Row = TypeVar("Row", Op, StemOp, HeadOp, Join, ScaleRule)


def _check_names(what: str, names: Any, allowed: Any) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(expected(what, name, allowed))


def declared(table: str, row: type[Row]) -> dict[str, Row]:
    """Return name → row of the literal called `table` in every file of nas/network/ops.

    A literal is a dict of dicts with the fields of the row. Raises ValueError, with the file and the name, for a
    literal that is none, a field that is unknown, and a name that is declared twice.
    """
    found: dict[str, Row] = {}
    for path in sorted(OPS_FOLDER.glob("*.py")):
        for name, fields in _literal(path, table).items():
            if name in found:
                raise ValueError(f"{path.name}: {table}[{name!r}] is declared in another file as well")
            try:
                found[name] = row(**_options_made(fields))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path.name}: {table}[{name!r}]: {error}") from None
    return found


def _literal(path: Path, table: str) -> dict[str, dict[str, Any]]:
    """The dict that the file assigns to `table` at its top level; empty where there is none."""
    for node in _assignments(path):
        if [ast.unparse(target) for target in node.targets] == [table]:
            try:
                rows: dict[str, dict[str, Any]] = ast.literal_eval(node.value)
            except ValueError:
                raise ValueError(f"{path.name}: {table} must be a literal, which can be read without torch") from None
            return rows
    return {}


@functools.lru_cache(maxsize=64)  # every table looks through every file
def _assignments(path: Path) -> tuple[ast.Assign, ...]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node for node in tree.body if isinstance(node, ast.Assign))


def _options_made(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row with its options as Option."""
    options = {name: Option(**said) for name, said in fields.get("options", {}).items()}
    return {**fields, "options": options} if options else dict(fields)


OPS = declared("OPS", Op)
STEMS = declared("STEMS", StemOp)
HEADS = declared("HEADS", HeadOp)
JOINS = declared("JOINS", Join)
SCALES = declared("SCALES", ScaleRule)
NONE = "·"  # the symbol of a block without a skip
KINDS = ("none", *JOINS)


def complete(
    what: str, name: object, table: Mapping[str, Op | StemOp | HeadOp | Join | ScaleRule], options: object
) -> Options:
    """Return the options of the row `name` of a table, with every default filled in.

    what: the name of the key that holds the row's name, for messages. Raises TopologyError.
    """
    if not isinstance(name, str) or name not in table:
        raise TopologyError(expected(what, name, table))
    known = table[name].options
    try:
        given = dict(options)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise TopologyError(f"options of {name} must be a mapping, but got {_short(options)}") from None
    for key in given:
        if key not in known:
            raise TopologyError(expected(f"an option of {name}", key, known or ("(none)",)))
    return {key: option.check(f"{name}.{key}", given.get(key, option.default)) for key, option in known.items()}
