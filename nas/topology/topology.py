"""Topology: one concrete architecture as plain data. Every Topology that exists can be built. No torch."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.errors import TopologyError, expected
from nas.topology.block import MAX_BLOCKS, MAX_SKIPS, Block, Head, Scale, Skip, Stem, options_of
from nas.topology.geometry import MAX_SIZE, MAX_WIDTH
from nas.topology.shapes import Wiring, infer
from nas.topology.vocabulary import JOINS, NONE, SCALES

VERSION, NEWEST = 1, 2  # 2 where a block has several skips, or a scale
OPEN = 2.0  # the sum of T over all gates of a deep network at the start


@dataclass(frozen=True)
class Topology:
    """A network as data: stem → block 1 → … → block n → head, with every skip. Node 0 is the stem, node i is block i.

    input is the shape of one sample: (C, H, W), (T,) tokens or (D,) numbers; outputs the number of outputs.
    Raises TopologyError, naming the block, unless the whole chain can be built.
    """

    input: tuple[int, ...]
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head
    outputs: int
    wiring: Wiring = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_ends(self.input, self.outputs)
        if len(self.blocks) > MAX_BLOCKS:
            raise TopologyError(
                f"block {MAX_BLOCKS + 1}: at most {MAX_BLOCKS} blocks are allowed, but got {len(self.blocks)}"
            )
        for what, part, kind in (("stem", self.stem, Stem), ("head", self.head, Head)):
            if not isinstance(part, kind):
                raise TopologyError(f"{what} must be a {kind.__name__}, but got {part!r}"[:200])
        for number, block in enumerate(self.blocks, 1):
            if not isinstance(block, Block):
                raise TopologyError(f"block {number} must be a Block, but got {block!r}"[:200])
        blocks = tuple(_own_input_is_short(number, block) for number, block in enumerate(self.blocks, 1))
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "input", tuple(self.input))
        wiring = infer(self.input, self.stem, blocks, self.head, self.outputs)
        object.__setattr__(self, "wiring", wiring)

    def __len__(self) -> int:
        return len(self.blocks)

    @functools.cached_property
    def key(self) -> str:
        """The canonical key: 16 hex digits, equal only for the same function class with the same parameters."""
        plain = json.dumps(self.canonical().to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(plain.encode()).hexdigest()[:16]

    def canonical(self) -> Topology:
        """Return the representative of all topologies with the same function class and the same parameters.

        Identity blocks that change no shape vanish and sources move with them; a width that an op would keep
        is written out; a shortcut that aligns nothing has no kind; consecutive skips whose order does not matter are
        sorted. Nothing else is merged: a wrong merge would be a wrong result, a missed one costs a training. An `auto`
        becomes the number that it stands for.
        """
        return self._canonical

    @functools.cached_property
    def _canonical(self) -> Topology:
        place = list(itertools.accumulate((not wire.vanishes for wire in self.wiring.wires), initial=0))
        blocks = []
        for block, wire in zip(self.settled, self.wiring.wires, strict=True):
            if wire.vanishes:
                continue
            skips = _sorted(
                replace(
                    skip,
                    source=None if bypass.short else place[bypass.source],
                    shortcut="pad" if bypass.align.project == "pad" else "project",
                )
                for skip, bypass in zip(block.skips, wire.bypasses, strict=True)
            )
            plain = block.width == wire.transformed.width and block.skips == skips
            blocks.append(block if plain else replace(block, width=wire.transformed.width, skips=skips))
        return self if tuple(blocks) == self.blocks else replace(self, blocks=tuple(blocks))

    @functools.cached_property
    def settled(self) -> tuple[Block, ...]:
        """The blocks with a number in the place of every `auto`."""
        return tuple(map(self.settle, self.blocks))

    def settle(self, block: Block) -> Block:
        """Return the block with the number that every `auto` stands for in this topology: `auto_bias`, `auto_scale`."""
        skips = tuple(map(self._settled_skip, block.skips))
        branch = self._settled_scale(block.branch)
        return block if (skips, branch) == (block.skips, block.branch) else replace(block, skips=skips, branch=branch)

    def _settled_skip(self, skip: Skip) -> Skip:
        options = options_of(skip)
        if options.get("bias") == "auto":
            skip = replace(skip, options=options | {"bias": self._auto_bias})
        scale = self._settled_scale(skip.scale)
        return skip if scale is skip.scale else replace(skip, scale=scale)

    def _settled_scale(self, scale: Scale | None) -> Scale | None:
        if scale is None or options_of(scale).get("value") != "auto":
            return scale
        return replace(scale, options={"value": self._auto_scale})

    @functools.cached_property
    def _auto_bias(self) -> float:
        return auto_bias(sum("bias" in options_of(skip) for block in self.blocks for skip in block.skips))

    @functools.cached_property
    def _auto_scale(self) -> float:
        return auto_scale(sum(any(skip.residual for skip in block.skips) for block in self.blocks))

    def describe(self) -> str:
        """Return one readable line: runs of blocks, with a mark for each block.

        A mark is `·` without a skip, `+`, a long one `&@3`, several `+&@3`, with a scale `+α`.
        """
        parts = [_label(self.stem.op, self.stem.width, 1)]
        for (op, stride), blocks in itertools.groupby(self.blocks, lambda block: (block.op, block.stride)):
            run = list(blocks)
            widths = [block.width for block in run if block.width is not None]
            marks = " ".join(_marks(block) for block in run)
            parts.append(f"{_label(op, max(widths, default=None), stride)}: {marks}")
        return " → ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold; `from_dict` reads it back."""
        return {
            "version": NEWEST if any(map(_is_new, self.blocks)) else VERSION,
            "input": list(self.input),
            "stem": _part(self.stem),
            "blocks": [_part(block) for block in self.blocks],
            "head": _part(self.head),
            "outputs": self.outputs,
        }

    @classmethod
    def from_dict(cls, data: object) -> Topology:
        """Return the topology that `to_dict` wrote. The data is not trusted: raises TopologyError where it is wrong."""
        data = _mapping("a topology", data, ("version", "input", "stem", "blocks", "head", "outputs"))
        if data.get("version", VERSION) not in (VERSION, NEWEST):
            raise TopologyError(f"version must be {VERSION} or {NEWEST}, but got {data['version']!r}"[:200])
        for key in ("input", "blocks"):
            if not isinstance(data.get(key), list | tuple):
                raise TopologyError(f"{key} must be a list, but got {data.get(key)!r}"[:200])
        if len(data["blocks"]) > MAX_BLOCKS:
            raise TopologyError(
                f"block {MAX_BLOCKS + 1}: at most {MAX_BLOCKS} blocks are allowed, but got {len(data['blocks'])}"
            )
        blocks = []
        for number, block in enumerate(data["blocks"], 1):
            try:
                blocks.append(_read_block(block))
            except TopologyError as error:
                raise TopologyError(f"block {number}: {error}") from None
        stem, head = (_mapping(part, data.get(part)) for part in ("stem", "head"))
        return cls(
            tuple(data["input"]),
            Stem(stem.pop("op", None), stem.pop("width", None), stem),
            tuple(blocks),
            Head(head.pop("op", None), head),
            data.get("outputs"),  # type: ignore[arg-type]  # checked at construction
        )


def auto_bias(gates: int) -> float:
    """Return the bias at which the gates of a network start where it says `auto`.

    A signal passes a gate's bypass with the factor 1 − T, T = sigmoid(bias). The bias is −2, the value of Srivastava et
    al. 2015 (arXiv:1507.06228) for MNIST, as long as the sum of T over all gates is about OPEN; more gates start with
    less: 48 with −3.1, 98 with −3.9. Rounded to a tenth.
    """
    return min(-2.0, round(-math.log(gates / OPEN - 1), 1)) if gates > 2 * OPEN else -2.0


def auto_scale(residual: int) -> float:
    """Return the factor on the bypasses of a network where it says `auto`: ⁴√n for n residual branches.

    It is the α of a decoder-only DeepNorm network with n/2 layers of two branches each (Wang et al. 2022,
    arXiv:2203.00555, table 1).
    """
    return round(math.sqrt(math.sqrt(max(residual, 1))), 4)


def _check_ends(input: object, outputs: object) -> None:
    if not isinstance(input, tuple | list) or not 1 <= len(input) <= 3 or len(input) == 2:
        raise TopologyError(f"input must be (C, H, W), (T,) or (D,), but got {input!r}"[:200])
    if not all(type(n) is int and 1 <= n <= MAX_SIZE for n in input):
        raise TopologyError(f"1 <= size <= {MAX_SIZE} must hold for every size, but got input={input!r}"[:200])
    if type(outputs) is not int or not 1 <= outputs <= max(MAX_WIDTH, 2**20):
        raise TopologyError(f"1 <= outputs must hold for a whole number, but got {outputs!r}"[:200])


def _own_input_is_short(number: int, block: Block) -> Block:
    if all(skip.source != number - 1 for skip in block.skips):
        return block
    skips = (replace(skip, source=None) if skip.source == number - 1 else skip for skip in block.skips)
    return replace(block, skips=tuple(skips))


def _sorted(skips: Iterable[Skip]) -> tuple[Skip, ...]:
    """Return the skips with consecutive ones of a kind sorted if their order does not matter."""
    found: list[Skip] = []
    for kind, run in itertools.groupby(skips, key=lambda skip: skip.kind):
        same = list(run)
        found += sorted(same, key=_order) if JOINS[kind].commutes else same
    return tuple(found)


def _order(skip: Skip) -> tuple[int, str]:
    """Return what skips whose order does not matter are sorted by: a short one comes first, as in a space."""
    return -1 if skip.source is None else skip.source, json.dumps(_skip(skip), sort_keys=True)


def _is_new(block: Block) -> bool:
    """Return whether a dict of version 1 cannot hold the block."""
    return len(block.skips) > 1 or block.branch is not None or any(skip.scale is not None for skip in block.skips)


def _label(op: str, width: int | None, stride: int) -> str:
    return op + (f"/{stride}" if stride != 1 else "") + (f" {width}" if width is not None else "")


def _marks(block: Block) -> str:
    branch = "" if block.branch is None else SCALES[block.branch.kind].symbol
    return branch + ("".join(map(_mark, block.skips)) or NONE)


def _mark(skip: Skip) -> str:
    scale = "" if skip.scale is None else SCALES[skip.scale.kind].symbol
    return JOINS[skip.kind].symbol + scale + (f"@{skip.source}" if skip.source is not None else "")


def _part(part: Stem | Block | Head) -> dict[str, Any]:
    data: dict[str, Any] = {"op": part.op}
    if isinstance(part, Stem | Block) and part.width is not None:
        data["width"] = part.width
    if isinstance(part, Block):
        if part.stride != 1:
            data["stride"] = part.stride
        if len(part.skips) == 1:
            data["skip"] = _skip(part.skips[0])
        elif part.skips:
            data["skips"] = [_skip(skip) for skip in part.skips]
        if part.branch is not None:
            data["branch"] = _scale(part.branch)
    return data | options_of(part)


def _skip(skip: Skip) -> dict[str, Any]:
    """Return a skip as plain data, without what is the default: a key stays the same when an option is added."""
    known, default = JOINS[skip.kind].options, Skip(skip.kind)
    said = {"source": skip.source, "shortcut": skip.shortcut} | options_of(skip)
    usual = {"source": default.source, "shortcut": default.shortcut} | {key: row.default for key, row in known.items()}
    data = {"kind": skip.kind} | {key: value for key, value in said.items() if value != usual[key]}
    return data if skip.scale is None else data | {"scale": _scale(skip.scale)}


def _scale(scale: Scale) -> str | dict[str, Any]:
    """Return a scale as plain data: its kind alone, unless an option differs from its default."""
    known = SCALES[scale.kind].options
    said = {key: value for key, value in options_of(scale).items() if value != known[key].default}
    return {"kind": scale.kind} | said if said else scale.kind


def _mapping(what: str, data: object, allowed: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Return a copy of `data` as a dict whose keys are strings among `allowed`. Raises TopologyError."""
    if not isinstance(data, Mapping):
        raise TopologyError(f"{what} must be a mapping, but got {data!r}"[:200])
    for key in data:
        if not isinstance(key, str) or (allowed is not None and key not in allowed):
            raise TopologyError(expected(f"a key of {what}", key, allowed or ("op", "width")))
    return dict(data)


def _read_block(data: object) -> Block:
    part = _mapping("a block", data)
    skip, skips = part.pop("skip", None), part.pop("skips", None)
    if skips is None:
        skips = [] if skip is None else [skip]
    elif skip is not None or not isinstance(skips, list | tuple) or len(skips) > MAX_SKIPS:
        raise TopologyError(f"skips must be a list of at most {MAX_SKIPS}, without a skip beside it"[:200])
    made, branch = tuple(map(_read_skip, skips)), _read_scale("branch", part.pop("branch", None))
    return Block(part.pop("op", None), part.pop("width", None), part.pop("stride", 1), made, part, branch)


def _read_skip(data: object) -> Skip:
    kind = data.get("kind") if isinstance(data, Mapping) else None
    join = JOINS.get(kind) if isinstance(kind, str) else None
    said = _mapping("skip", data, ("kind", "source", "shortcut", "scale", *(join.options if join else ())))
    scale = _read_scale("skip.scale", said.pop("scale", None))
    return Skip(said.pop("kind", None), said.pop("source", None), said.pop("shortcut", "project"), said, scale)


def _read_scale(what: str, data: object) -> Scale | None:
    if data is None or isinstance(data, str):
        return None if data is None else Scale(data)
    said = _mapping(what, data)
    return Scale(said.pop("kind", None), said)
