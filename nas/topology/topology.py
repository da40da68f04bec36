"""Topology: one concrete architecture as plain data. Every Topology that exists can be built. No torch."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.errors import TopologyError, expected
from nas.topology.block import MAX_BLOCKS, Block, Head, Skip, Stem, options_of
from nas.topology.geometry import MAX_SIZE, MAX_WIDTH
from nas.topology.shapes import Wiring, infer
from nas.topology.vocabulary import HEADS, JOINS, NONE, OPS, STEMS, HeadOp, Op, StemOp

VERSION = 1
TABLES: Mapping[type, Mapping[str, Op | StemOp | HeadOp]] = {Stem: STEMS, Block: OPS, Head: HEADS}
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
        is written out; a shortcut that aligns nothing has no kind. Nothing else is merged: a wrong merge would
        be a wrong result, a missed one costs a training. An `auto` becomes the number that it stands for.
        """
        return self._canonical

    @functools.cached_property
    def _canonical(self) -> Topology:
        place = list(itertools.accumulate((not wire.vanishes for wire in self.wiring.wires), initial=0))
        blocks = []
        for block, wire in zip(self.settled, self.wiring.wires, strict=True):
            if wire.vanishes:
                continue
            skip = block.skip
            if skip is not None and wire.source is not None and wire.align is not None:
                source = None if wire.short else place[wire.source]
                skip = replace(skip, source=source, shortcut="pad" if wire.align.project == "pad" else "project")
            plain = block.width == wire.transformed.width and block.skip == skip
            blocks.append(block if plain else replace(block, width=wire.transformed.width, skip=skip))
        return self if tuple(blocks) == self.blocks else replace(self, blocks=tuple(blocks))

    @functools.cached_property
    def settled(self) -> tuple[Block, ...]:
        """The blocks with a number in the place of every `auto`."""
        return tuple(map(self.settle, self.blocks))

    def settle(self, block: Block) -> Block:
        """Return the block with the number that a gate's `bias: auto` stands for in this topology (`auto_bias`)."""
        if block.skip is None or options_of(block.skip).get("bias") != "auto":
            return block
        return replace(block, skip=replace(block.skip, options=options_of(block.skip) | {"bias": self._auto_bias}))

    @functools.cached_property
    def _auto_bias(self) -> float:
        return auto_bias(sum(block.skip is not None and "bias" in options_of(block.skip) for block in self.blocks))

    def describe(self) -> str:
        """Return one readable line: runs of blocks, with one mark for each block (`· + & ~ ×`, a long one `&@3`)."""
        parts = [_label(self.stem.op, self.stem.width, 1)]
        for (op, stride), blocks in itertools.groupby(self.blocks, lambda block: (block.op, block.stride)):
            run = list(blocks)
            widths = [block.width for block in run if block.width is not None]
            marks = " ".join(_mark(block.skip) for block in run)
            parts.append(f"{_label(op, max(widths, default=None), stride)}: {marks}")
        return " → ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold; `from_dict` reads it back."""
        return {
            "version": VERSION,
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
        if data.get("version", VERSION) != VERSION:
            raise TopologyError(f"version must be {VERSION}, but got {data['version']!r}"[:200])
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


def _check_ends(input: object, outputs: object) -> None:
    if not isinstance(input, tuple | list) or not 1 <= len(input) <= 3 or len(input) == 2:
        raise TopologyError(f"input must be (C, H, W), (T,) or (D,), but got {input!r}"[:200])
    if not all(type(n) is int and 1 <= n <= MAX_SIZE for n in input):
        raise TopologyError(f"1 <= size <= {MAX_SIZE} must hold for every size, but got input={input!r}"[:200])
    if type(outputs) is not int or not 1 <= outputs <= max(MAX_WIDTH, 2**20):
        raise TopologyError(f"1 <= outputs must hold for a whole number, but got {outputs!r}"[:200])


def _own_input_is_short(number: int, block: Block) -> Block:
    if block.skip is None or block.skip.source != number - 1:
        return block
    return replace(block, skip=replace(block.skip, source=None))


def _label(op: str, width: int | None, stride: int) -> str:
    return op + (f"/{stride}" if stride != 1 else "") + (f" {width}" if width is not None else "")


def _mark(skip: Skip | None) -> str:
    if skip is None:
        return NONE
    return JOINS[skip.kind].symbol + (f"@{skip.source}" if skip.source is not None else "")


def _part(part: Stem | Block | Head) -> dict[str, Any]:
    data: dict[str, Any] = {"op": part.op}
    if isinstance(part, Stem | Block) and part.width is not None:
        data["width"] = part.width
    if isinstance(part, Block):
        if part.stride != 1:
            data["stride"] = part.stride
        if part.skip is not None:
            data["skip"] = _skip(part.skip)
    known = TABLES[type(part)][part.op].options
    said = {
        key: value for key, value in options_of(part).items() if not known[key].later or value != known[key].default
    }
    return data | said


def _skip(skip: Skip) -> dict[str, Any]:
    """Return a skip as plain data, without what is the default: a key stays the same when an option is added."""
    known, default = JOINS[skip.kind].options, Skip(skip.kind)
    said = {"source": skip.source, "shortcut": skip.shortcut} | options_of(skip)
    usual = {"source": default.source, "shortcut": default.shortcut} | {key: row.default for key, row in known.items()}
    return {"kind": skip.kind} | {key: value for key, value in said.items() if value != usual[key]}


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
    skip = part.pop("skip", None)
    if skip is not None:
        kind = skip.get("kind") if isinstance(skip, Mapping) else None
        join = JOINS.get(kind) if isinstance(kind, str) else None
        said = _mapping("skip", skip, ("kind", "source", "shortcut", *(join.options if join else ())))
        skip = Skip(said.pop("kind", None), said.pop("source", None), said.pop("shortcut", "project"), said)
    return Block(part.pop("op", None), part.pop("width", None), part.pop("stride", 1), skip, part)
