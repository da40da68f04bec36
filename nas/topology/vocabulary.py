"""The words a topology may use: every op, stem and head with its options and its rule of shapes. No torch.

A row of a table says what the name means to everything below it: which class of `nas.network.ops` computes it, which
options it takes, which layouts it reads, and what shape it gives. The classes say how.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nas.errors import TopologyError, expected

Scalar = int | float | bool | str
Size = tuple[int, ...]
Options = Mapping[str, Scalar]

JOINS = ("add", "concat", "gate", "mul")  # the ways a bypass is joined to F(x)
KINDS = ("none", *JOINS)
SHORTCUTS = ("project", "pad")  # He et al. 2015: option B, option A

MAX_WIDTH = 2**16
MAX_SIZE = 2**16
LAYOUTS = ("vector", "sequence", "image")


@dataclass(frozen=True, slots=True)
class Shape:
    """Features without the batch: `width` channels at every place of `size`.

    size () is a vector (D,); size (T,) a sequence (T, D); size (H, W) an image (C, H, W).
    """

    width: int
    size: Size = ()

    @property
    def layout(self) -> str:
        return LAYOUTS[len(self.size)]

    @property
    def tensor(self) -> tuple[int, ...]:
        """The shape of one sample as torch sees it: (D,), (T, D) or (C, H, W)."""
        return (self.width, *self.size) if len(self.size) == 2 else (*self.size, self.width)

    def __str__(self) -> str:
        return "×".join(map(str, self.tensor))


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an op: its default (which fixes the type), and the bounds or the choices of its value."""

    default: Scalar
    low: float = 1
    high: float = 4096
    choices: tuple[str, ...] = ()
    odd: bool = False

    def check(self, name: str, value: object) -> Scalar:
        """The value, if it is allowed. Raises TopologyError."""
        if isinstance(self.default, str):
            if value not in self.choices:
                raise TopologyError(expected(name, value, self.choices))
            return str(value)
        wanted = type(self.default)
        if type(value) is int and wanted is float:
            value = float(value)
        if type(value) is not wanted:
            raise TopologyError(f"{name} must be of type {wanted.__name__}, but got {_short(value)}")
        if isinstance(value, bool):
            return value
        assert isinstance(value, int | float)
        if not self.low <= value <= self.high:
            raise TopologyError(f"{self.low:g} <= {name} <= {self.high:g} must hold, but got {_short(value)}")
        if self.odd and value % 2 == 0:
            raise TopologyError(f"{name} must be odd, but got {value}")
        return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _window(size: Size, stride: int, options: Options) -> Size:
    """⌊(n + 2p − k) / stride⌋ + 1 with p = ⌊(k − 1) / 2⌋: a padded convolution or pooling window."""
    kernel = int(options.get("kernel", 3))
    padding = (kernel - 1) // 2
    return tuple((n + 2 * padding - kernel) // stride + 1 for n in size)


def _floor(size: Size, stride: int, options: Options) -> Size:
    """⌊n / stride⌋: non-overlapping windows."""
    return tuple(n // stride for n in size)


def _grow(size: Size, stride: int, options: Options) -> Size:
    """scale · n: up-sampling."""
    return tuple(n * int(options["scale"]) for n in size)


def _keep(size: Size, stride: int, options: Options) -> Size:
    return size


@dataclass(frozen=True, slots=True)
class Op:
    """What a name of a block's transformation F means.

    `module` is its class in nas.network.ops; `after` what follows the join (σ); `preactivated` says that F begins with
    its norm and activation, so that a projecting shortcut is a bare convolution of the activated input
    (He et al. 2016); `gate` that a gate beside F sees through F's own kernel (Srivastava et al. 2015).
    """

    module: str
    layouts: tuple[str, ...] = ("image",)
    options: Mapping[str, Option] = field(default_factory=dict)
    size: Callable[[Size, int, Options], Size] = _window
    strided: bool = True
    keeps_width: bool = False
    after: str | None = None
    preactivated: bool = False
    gate_kernel: bool = False

    def follows(self, options: Options) -> str | None:
        """σ: what follows the join, "relu", "norm" (a post-norm Transformer layer) or nothing."""
        return "norm" if options.get("norm") == "post" else self.after


_KERNEL = Option(3, 1, 31, odd=True)
_NORM = Option("pre", choices=("pre", "post"))
_EPS = Option(1e-5, 1e-12, 1e-2)

OPS: dict[str, Op] = {
    "identity": Op("Identity", LAYOUTS, size=lambda n, s, o: _window(n, s, {"kernel": 1})),
    "conv": Op("Conv", options={"kernel": _KERNEL}, gate_kernel=True),
    "basic": Op("Basic", after="relu"),
    "bottleneck": Op("Bottleneck", options={"expansion": Option(4, 1, 64)}, after="relu"),
    "preact": Op("PreAct", preactivated=True),
    "preact_bottleneck": Op("PreActBottleneck", options={"expansion": Option(4, 1, 64)}, preactivated=True),
    "dense_layer": Op("DenseLayer", options={"bottleneck": Option(4, 1, 64)}, strided=False, size=_keep),
    "dense_layer_plain": Op("DenseLayerPlain", strided=False, size=_keep),
    "transition": Op("Transition", size=_floor),
    "mbconv": Op(
        "MBConv",
        options={
            "kernel": _KERNEL,
            "expansion": Option(6, 1, 16),
            "activation": Option("relu", choices=("relu", "relu6")),
        },
    ),
    "convnext": Op(
        "ConvNeXt",
        options={"kernel": Option(7, 1, 31, odd=True), "expansion": Option(4, 1, 16)},
    ),
    "double_conv": Op("DoubleConv", options={"middle": Option(0, 0, MAX_WIDTH)}, strided=False, size=_keep),
    "upconv": Op(
        "UpConv",
        options={
            "scale": Option(2, 2, 8),
            "up": Option("transposed", choices=("transposed", "bilinear", "nearest")),
        },
        strided=False,
        size=_grow,
    ),
    "maxpool": Op("MaxPool", options={"kernel": Option(3, 1, 31)}, keeps_width=True),
    "attention": Op(
        "Attention",
        ("sequence",),
        {"heads": Option(4, 1, 256), "causal": Option(False), "norm": _NORM, "eps": _EPS},
        size=_keep,
        strided=False,
    ),
    "feed_forward": Op(
        "FeedForward",
        ("sequence",),
        {
            "expansion": Option(4, 1, 64),
            "activation": Option("gelu", choices=("gelu", "gelu_tanh", "relu")),
            "norm": _NORM,
            "eps": _EPS,
        },
        size=_keep,
        strided=False,
    ),
    "linear": Op(
        "Linear",
        ("vector", "sequence"),
        {"activation": Option("relu", choices=("relu", "tanh"))},
        size=_keep,
        strided=False,
    ),
}


@dataclass(frozen=True, slots=True)
class StemOp:
    """What a name of a stem means: its class, its options, and input → features. `width` is None where fixed."""

    module: str
    shape: Callable[[tuple[int, ...], int | None, Options], Shape]
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed_width: bool = False


def _image(input: tuple[int, ...]) -> tuple[int, int]:
    if len(input) != 3:
        raise TopologyError(f"it reads an image (C, H, W), but the input is {input}")
    return input[1], input[2]


def _conv3x3(input: tuple[int, ...], width: int | None, options: Options) -> Shape:
    return Shape(width or 0, _window(_image(input), int(options["stride"]), {"kernel": 3}))


def _conv7x7_pool(input: tuple[int, ...], width: int | None, options: Options) -> Shape:
    halved = _window(_image(input), 2, {"kernel": 7})
    return Shape(width or 0, _window(halved, 2, {"kernel": 3}))


def _patch(input: tuple[int, ...], width: int | None, options: Options) -> Shape:
    height, wide = _image(input)
    patch = int(options["patch"])
    if height % patch or wide % patch:
        raise TopologyError(f"patch must divide the image {height}×{wide}, but got {patch}")
    tokens = (height // patch) * (wide // patch) + int(options["class_token"])
    return Shape(width or 0, (tokens,))


def _token(input: tuple[int, ...], width: int | None, options: Options) -> Shape:
    if len(input) != 1:
        raise TopologyError(f"it reads a sequence of tokens (T,), but the input is {input}")
    return Shape(width or 0, input)


def _vector(input: tuple[int, ...], width: int | None, options: Options) -> Shape:
    return Shape(width or math.prod(input), ())


def _as_it_is(input: tuple[int, ...], width: int | None, options: Options) -> Shape:
    return Shape(input[0], () if len(input) == 1 else _image(input))


STEMS: dict[str, StemOp] = {
    "conv3x3": StemOp("Conv3x3", _conv3x3, {"stride": Option(1, 1, 4), "norm": Option(True)}),
    "conv7x7_pool": StemOp("Conv7x7Pool", _conv7x7_pool),
    "patch": StemOp("Patch", _patch, {"patch": Option(16, 1, 256), "class_token": Option(True)}),
    "token": StemOp("Token", _token, {"vocabulary": Option(256, 2, 2**20)}),
    "linear": StemOp("LinearStem", _vector, {"activation": Option("relu", choices=("relu", "tanh"))}),
    "flatten": StemOp("Flatten", _vector, fixed_width=True),
    "identity": StemOp("Input", _as_it_is, fixed_width=True),
}


@dataclass(frozen=True, slots=True)
class HeadOp:
    """What a name of a head means: its class, the layouts that it reads and its options."""

    module: str
    layouts: tuple[str, ...]
    options: Mapping[str, Option] = field(default_factory=dict)


HEADS: dict[str, HeadOp] = {
    "classify": HeadOp("Classify", LAYOUTS),
    "norm_classify": HeadOp("NormClassify", ("image",)),
    "conv1x1": HeadOp("Conv1x1", ("image",)),
    "class_token": HeadOp("ClassToken", ("sequence",), {"eps": _EPS}),
    "language_model": HeadOp("LanguageModel", ("sequence",), {"eps": _EPS}),
}


def complete(what: str, name: object, table: Mapping[str, Op | StemOp | HeadOp], options: object) -> Options:
    """The options of `name` with every default filled in. Raises TopologyError."""
    if not isinstance(name, str) or name not in table:
        raise TopologyError(expected(f"{what}.op", name, table))
    known = table[name].options
    given = dict(options) if isinstance(options, Mapping | tuple) else None
    if given is None:
        raise TopologyError(f"options of {name} must be a mapping, but got {_short(options)}")
    for key in given:
        if key not in known:
            raise TopologyError(expected(f"an option of {name}", key, known or ("(none)",)))
    return {key: option.check(f"{name}.{key}", given.get(key, option.default)) for key, option in known.items()}
