"""The walk through a space: stem, stages, blocks and their skips, head; every decision has its name here.

    stem.op  stem.width  stage1.blocks  stage1.op  stage1.width  stage1.stride  stage1.kernel (an option)
    block03.skip  block03.source  block03.join  block03.concat.growth  block03.add.shortcut  head.op

With `choose: block` a stage's op, width and options are decided for each block: `block03.op`. What is written in
the entry of one op is named after it: `stage1.mbconv.kernel`, `block03.identity.skip`.

The number in `block03` is a slot: each stage has as many as its most blocks, so that the k-th block of a stage has
the same name however many blocks are before it. `source` counts the blocks that are really there, as a topology does.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nas.errors import TopologyError
from nas.space.decisions import Decision, Trail, Walk, drive, explore, first, pick, pick_number
from nas.space.parts import BlockEntry, Network, Part, Stage
from nas.space.skips import Long, Skips
from nas.topology.block import Block, Head, Pairs, Skip, Stem, options_of
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import transformed
from nas.topology.vocabulary import JOINS, STEMS

Ends = tuple[Stem, tuple[Block, ...], Head]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a block. A long skip is offered where one has a source however few blocks are before it."""

    name: str
    first: bool
    long: bool


@dataclass(frozen=True, slots=True, eq=False)
class PlacedStage:
    """A stage, its number, the skips that hold in it and its slots."""

    name: str
    stage: Stage
    skips: Skips
    slots: tuple[Slot, ...]

    @property
    def depth(self) -> str:
        """The name of the parameter that says how many blocks there are."""
        return f"{self.name}.blocks"

    def entry(self, label: str) -> BlockEntry:
        """What the file says of the op with this label."""
        return self.stage.op[self.stage.labels.index(label)]

    def kinds(self, slot: Slot, entry: BlockEntry) -> tuple[str, ...]:
        """The skips that a block in this slot may choose; `none` where there is no other."""
        kinds = self.skips.kinds if entry.skip is None else entry.skip
        return tuple(kind for kind in kinds if kind != "long" or slot.long) or ("none",)


@dataclass(frozen=True, slots=True)
class Setting:
    """What was decided of a part: which entry, its width (None: the input's) and the options that were said."""

    label: str
    op: str
    width: int | None
    options: Pairs


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided of a stage; without a setting each block has its own."""

    blocks: int
    stride: int = 1
    setting: Setting | None = None


@dataclass(frozen=True, slots=True)
class SkipChoice:
    """A skip, and how wide it makes F: a share of the width or a number of channels; None leaves it as it is."""

    skip: Skip | None = None
    growth: float | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """A block as it is without a skip."""

    setting: Setting
    stride: int

    def block(self, bypass: SkipChoice = SkipChoice()) -> Block:
        width = self.setting.width
        if bypass.growth is not None:
            width = narrowed(width, bypass.growth)
        return Block(self.setting.op, width, self.stride, bypass.skip, self.setting.options)


def narrowed(width: int | None, growth: float) -> int:
    """growth, if it is a number of channels; else that share of the width, and one channel at least."""
    if isinstance(growth, int):
        return growth
    if width is None:
        raise TopologyError(f"growth={growth} is a share of the stage's width, but the stage says no width")
    return max(1, round(growth * width))


@dataclass(frozen=True)
class Chain:
    """The walks through one network section, for inputs of this shape."""

    network: Network
    stages: tuple[PlacedStage, ...]
    input: tuple[int, ...]

    @classmethod
    def of(cls, network: Network, skips: Skips, input: tuple[int, ...]) -> Chain:
        return cls(network, tuple(_placed(network.stages, skips)), input)

    @functools.cached_property
    def follows_shapes(self) -> bool:
        """Whether a decision depends on shapes; then no concat changes one (see check.py)."""
        return any(placed.skips.where == "same_shape" for placed in self.stages)

    def walk(self) -> Walk[Ends]:
        """The whole space."""
        stem = yield from self.stem()
        blocks: list[Block] = []
        x = self.start(stem)
        for placed in self.stages:
            plan = yield from self.plan(placed)
            for slot in placed.slots[: plan.blocks]:
                block = yield from self.block(placed, slot, plan, len(blocks) + 1, x)
                x = self.after(block, x)
                blocks.append(block)
        head = yield from self.head()
        return stem, tuple(blocks), head

    def stem(self) -> Walk[Stem]:
        setting = yield from _setting("stem", self.network.stem)
        return Stem(setting.op, setting.width, setting.options)

    def head(self) -> Walk[Head]:
        setting = yield from _setting("head", self.network.head)
        return Head(setting.op, setting.options)

    def plan(self, placed: PlacedStage) -> Walk[Plan]:
        """How many blocks a stage has, and what is decided once for all of them."""
        stage = placed.stage
        blocks = yield from pick(placed.depth, stage.blocks)
        if blocks == 0:
            return Plan(0)
        setting = None
        if stage.choose == "stage":
            setting = yield from _setting(placed.name, stage)
        stride = yield from pick(f"{placed.name}.stride", stage.stride)
        return Plan(blocks, stride, setting)

    def block(self, placed: PlacedStage, slot: Slot, plan: Plan, number: int, x: Shape | None) -> Walk[Block]:
        """The block with this number in the topology; x is the shape that it sees, where shapes are followed."""
        plain = yield from self.plain(placed, slot, plan)
        return (yield from self.joined(placed, slot, plain, number, x))

    def plain(self, placed: PlacedStage, slot: Slot, plan: Plan) -> Walk[Plain]:
        """A block without its skip."""
        setting = plan.setting or (yield from _setting(slot.name, placed.stage))
        return Plain(setting, plan.stride if slot.first else 1)

    def joined(self, placed: PlacedStage, slot: Slot, plain: Plain, number: int, x: Shape | None) -> Walk[Block]:
        """A block and its skip."""
        if not self.skippable(placed, plain, x):
            return plain.block()
        bypass = yield from self.bypass(placed, slot, plain.setting.label, number)
        return plain.block(bypass)

    def skippable(self, placed: PlacedStage, plain: Plain, x: Shape | None) -> bool:
        """Whether the block may have a skip at all: always, or where F(x) has the shape of x."""
        return x is None or placed.skips.where == "any" or self.after(plain.block(), x) == x

    def bypass(self, placed: PlacedStage, slot: Slot, label: str, number: int) -> Walk[SkipChoice]:
        """The skip around a block of the op with this label."""
        entry, skips = placed.entry(label), placed.skips
        name = f"{slot.name}.skip" if entry.skip is None else f"{slot.name}.{label}.skip"
        kind = yield from pick(name, placed.kinds(slot, entry))
        if kind == "none":
            return SkipChoice()
        if kind == "long":
            return (yield from _long(skips.long, slot, number, narrows=entry.sized))
        if JOINS[kind].widens:
            growth = yield from pick(f"{slot.name}.{kind}.growth", skips.growths(kind) if entry.sized else (None,))
            return SkipChoice(Skip(kind), growth)
        shortcut = yield from pick(f"{slot.name}.{kind}.shortcut", skips.shortcuts(kind))
        return SkipChoice(Skip(kind, shortcut=shortcut))

    def plans(self, placed: PlacedStage) -> Iterator[tuple[Trail, Plan]]:
        """What may be decided once for a stage, all at its greatest depth."""

        def among(decision: Decision) -> Sequence[Scalar]:
            return (len(placed.slots),) if decision.name == placed.depth else decision.values

        return explore(functools.partial(self.plan, placed), among)

    def start(self, stem: Stem) -> Shape | None:
        """The shape of y[0], where shapes are followed."""
        if not self.follows_shapes:
            return None
        return STEMS[stem.op].shape(self.input, stem.width, options_of(stem))

    def after(self, block: Block, x: Shape | None) -> Shape | None:
        """The shape of y[i], where shapes are followed."""
        return None if x is None else transformed(block, x)

    def uniform(self, kind: str) -> Ends:
        """The chain of everything that is listed first, with a skip of one kind around every block.

        Where the file leaves a stage or an op no choice of skips, it keeps the one that it has.
        """
        stages = tuple(_only(placed, kind) for placed in self.stages)
        return drive(replace(self, stages=stages).walk(), first)


def _placed(stages: Sequence[Stage], skips: Skips) -> Iterator[PlacedStage]:
    slots = fewest = 0  # slots and least number of blocks before the stage
    for number, stage in enumerate(stages, 1):
        own = skips.changed(stage.skips)
        places = range(1, max(stage.blocks) + 1)
        yield PlacedStage(
            f"stage{number}",
            stage,
            own,
            tuple(Slot(f"block{slots + k:02d}", k == 1, fewest + k >= own.long.reach[0]) for k in places),
        )
        slots += max(stage.blocks)
        fewest += min(stage.blocks)


def _only(placed: PlacedStage, kind: str) -> PlacedStage:
    """The stage with this kind of skip for every block that had a choice."""
    entries = tuple(
        entry.model_copy(update={"skip": (kind,)}) if len(entry.skip or ()) > 1 else entry for entry in placed.stage.op
    )
    stage = placed.stage.model_copy(update={"op": entries})
    settled = placed.stage.skips is not None and len(placed.skips.kinds) == 1
    skips = placed.skips if settled else placed.skips.model_copy(update={"kinds": (kind,)})
    return replace(placed, stage=stage, skips=skips)


def _setting(name: str, part: Part) -> Walk[Setting]:
    """Which op, and its options and width as far as the file says anything of them."""
    label = yield from pick(f"{name}.op", part.labels)
    entry = part.op[part.labels.index(label)]
    options: dict[str, Scalar] = {}
    for option in entry.known:
        if option in entry.options:
            options[option] = yield from pick(f"{name}.{label}.{option}", entry.options[option])
        elif option in part.options:
            options[option] = yield from pick(f"{name}.{option}", part.options[option])
    width = None
    if entry.width is not None:
        width = yield from pick(f"{name}.{label}.width", entry.width)
    elif part.width is not None and entry.sized:
        width = yield from pick(f"{name}.width", part.width)
    return Setting(label, entry.op, width, tuple(options.items()))


def _long(long: Long, slot: Slot, number: int, *, narrows: bool) -> Walk[SkipChoice]:
    """A skip from an earlier block or the stem; `narrows` says that the width of F is the op's to choose."""
    growth, shortcut = None, "project"
    join = yield from pick(f"{slot.name}.join", long.join)
    if not JOINS[join].widens:
        shortcut = yield from pick(f"{slot.name}.long.shortcut", long.shortcut)
    elif long.growth is not None and narrows:
        growth = yield from pick(f"{slot.name}.long.growth", long.growth)
    nearest, farthest = long.reach
    low = 0 if farthest is None else max(0, number - farthest)
    source = yield from pick_number(f"{slot.name}.source", low, number - nearest)
    return SkipChoice(Skip(join, source, shortcut), growth)
