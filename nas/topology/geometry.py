"""Shapes of features, and the named rules by which an op or a stem changes them. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas.errors import TopologyError

Scalar = int | float | bool | str
Size = tuple[int, ...]
Options = Mapping[str, Scalar]

LAYOUTS = ("vector", "sequence", "image")
MAX_WIDTH = 2**16
MAX_SIZE = 2**16


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of features without the batch: `width` channels at every place of `size`.

    size () is a vector (D,); size (T,) a sequence (T, D); size (H, W) an image (C, H, W).
    """

    width: int
    size: Size = ()

    @property
    def layout(self) -> str:
        """The name of the layout: vector, sequence or image."""
        return LAYOUTS[len(self.size)]

    @property
    def tensor(self) -> tuple[int, ...]:
        """The shape of one sample as torch sees it: (D,), (T, D) or (C, H, W)."""
        return (self.width, *self.size) if len(self.size) == 2 else (*self.size, self.width)

    def __str__(self) -> str:
        return "×".join(map(str, self.tensor))


# ------------------------------------------------------------------------- the size of F(x), from the size of x


def _window(size: Size, stride: int, options: Options) -> Size:
    """⌊(n + 2p − k) / stride⌋ + 1 with p = ⌊(k − 1) / 2⌋: a padded convolution or pooling window."""
    kernel = int(options.get("kernel", 3))
    padding = (kernel - 1) // 2
    return tuple((n + 2 * padding - kernel) // stride + 1 for n in size)


def _sample(size: Size, stride: int, options: Options) -> Size:
    """⌊(n − 1) / stride⌋ + 1: every stride-th place."""
    return tuple((n - 1) // stride + 1 for n in size)


def _floor(size: Size, stride: int, options: Options) -> Size:
    """⌊n / stride⌋: windows that do not overlap."""
    return tuple(n // stride for n in size)


def _grow(size: Size, stride: int, options: Options) -> Size:
    """scale · n: up-sampling."""
    return tuple(n * int(options["scale"]) for n in size)


def _keep(size: Size, stride: int, options: Options) -> Size:
    return size


SizeRule = Callable[[Size, int, Options], Size]
SIZES: dict[str, SizeRule] = {"window": _window, "sample": _sample, "floor": _floor, "grow": _grow, "keep": _keep}
UNSTRIDED = ("grow", "keep")  # rules that know no stride


# --------------------------------------------------------------------------- the first features, from the input


def _image(input: tuple[int, ...]) -> tuple[int, int]:
    if len(input) != 3:
        raise TopologyError(f"it reads an image (C, H, W), but the input is {input}")
    return input[1], input[2]


def _convolved(input: tuple[int, ...], width: int, options: Options) -> Shape:
    return Shape(width, _window(_image(input), int(options["stride"]), {"kernel": 3}))


def _pooled(input: tuple[int, ...], width: int, options: Options) -> Shape:
    halved = _window(_image(input), 2, {"kernel": 7})
    return Shape(width, _window(halved, 2, {"kernel": 3}))


def _patches(input: tuple[int, ...], width: int, options: Options) -> Shape:
    height, wide = _image(input)
    patch = int(options["patch"])
    if height % patch or wide % patch:
        raise TopologyError(f"patch must divide the image {height}×{wide}, but got {patch}")
    tokens = (height // patch) * (wide // patch) + int(options["class_token"])
    return Shape(width, (tokens,))


def _patchified(input: tuple[int, ...], width: int, options: Options) -> Shape:
    return Shape(width, _floor(_image(input), int(options["patch"]), options))


def _tokens(input: tuple[int, ...], width: int, options: Options) -> Shape:
    if len(input) != 1:
        raise TopologyError(f"it reads a sequence of tokens (T,), but the input is {input}")
    return Shape(width, input)


def _flat(input: tuple[int, ...], width: int, options: Options) -> Shape:
    return Shape(width or math.prod(input), ())


def _input(input: tuple[int, ...], width: int, options: Options) -> Shape:
    return Shape(input[0], () if len(input) == 1 else _image(input))


StemRule = Callable[[tuple[int, ...], int, Options], Shape]
STEM_SHAPES: dict[str, StemRule] = {  # the width is 0 where the stem has none of its own
    "convolved": _convolved,
    "pooled": _pooled,
    "patches": _patches,
    "patchified": _patchified,
    "tokens": _tokens,
    "flat": _flat,
    "input": _input,
}
