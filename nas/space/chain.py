"""The walk through a space: stem, stages, blocks and their skips, head; every decision has its name here.

    stem.op  stem.width  stage1.blocks  stage1.op  stage1.width  stage1.stride  stage1.kernel (an option)
    block03.skip  block03.source  block03.join  block03.concat.growth  block03.add.shortcut  head.op

With `choose: block` a stage's op, width and options are decided for each block: `block03.op`. What is written in
the entry of one op is named after it: `stage1.mbconv.kernel`, `block03.identity.skip`.

The number in `block03` is a slot: each stage has as many as its most blocks, so that the k-th block of a stage has
the same name however many blocks are before it. `source` counts the blocks that are really there, as a topology does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nas.block import Block, Head, Pairs, Skip, Stem, options_of
from nas.errors import TopologyError
from nas.shapes import transformed
from nas.space.decisions import Walk, drive, first, pick, pick_number
from nas.space.language import BlockEntry, Network, Part, Skips, Stage
from nas.vocabulary import STEMS, Scalar, Shape

Ends = tuple[Stem, tuple[Block, ...], Head]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a block. A long skip is offered where one has a source however few blocks are before it."""

    name: str
    first: bool
    long: bool


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A stage, its number, the skips that hold in it and its slots."""

    name: str
    stage: Stage
    skips: Skips
    slots: tuple[Slot, ...]

    def entry(self, setting: Setting) -> BlockEntry:
        """What the file says of the op that was decided on."""
        return self.stage.op[self.stage.labels.index(setting.label)]

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
class Bypass:
    """A skip, and how wide it makes F: a share of the width or a number of channels; None leaves it as it is."""

    skip: Skip | None = None
    growth: float | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """A block as it is without a skip."""

    setting: Setting
    stride: int

    def block(self, bypass: Bypass = Bypass()) -> Block:
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


class Chain:
    """The walks through one network section."""

    def __init__(self, network: Network, skips: Skips, input: tuple[int, ...]) -> None:
        self.network, self.input = network, input
        self.runs = tuple(_runs(network.stages, skips))
        # shapes are followed only where a decision depends on them; then no width varies (see check.py)
        self.follows_shapes = any(run.skips.where == "same_shape" for run in self.runs)

    def walk(self) -> Walk[Ends]:
        """The whole space."""
        stem = yield from self.stem()
        blocks: list[Block] = []
        x = self.start(stem)
        for run in self.runs:
            plan = yield from self.plan(run)
            for slot in run.slots[: plan.blocks]:
                block = yield from self.block(run, slot, plan, len(blocks) + 1, x)
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

    def plan(self, run: Run) -> Walk[Plan]:
        """How many blocks a stage has, and what is decided once for all of them."""
        stage = run.stage
        blocks = yield from pick(f"{run.name}.blocks", stage.blocks)
        if blocks == 0:
            return Plan(0)
        setting = None
        if stage.choose == "stage":
            setting = yield from _setting(run.name, stage)
        stride = yield from pick(f"{run.name}.stride", stage.stride)
        return Plan(blocks, stride, setting)

    def block(self, run: Run, slot: Slot, plan: Plan, number: int, x: Shape | None) -> Walk[Block]:
        """The block with this number in the topology; x is the shape that it sees, where shapes are followed."""
        plain = yield from self.plain(run, slot, plan)
        return (yield from self.joined(run, slot, plain, number, x))

    def plain(self, run: Run, slot: Slot, plan: Plan) -> Walk[Plain]:
        """A block without its skip."""
        setting = plan.setting or (yield from _setting(slot.name, run.stage))
        return Plain(setting, plan.stride if slot.first else 1)

    def joined(self, run: Run, slot: Slot, plain: Plain, number: int, x: Shape | None) -> Walk[Block]:
        """A block and its skip."""
        block = plain.block()
        if run.skips.where == "same_shape" and x is not None and transformed(block, x) != x:
            return block
        bypass = yield from _bypass(run, slot, plain.setting, number)
        return plain.block(bypass)

    def start(self, stem: Stem) -> Shape | None:
        """The shape of y[0], where shapes are followed."""
        return STEMS[stem.op].shape(self.input, stem.width, options_of(stem)) if self.follows_shapes else None

    def after(self, block: Block, x: Shape | None) -> Shape | None:
        return None if x is None else transformed(block, x)

    def uniform(self, kind: str) -> Ends:
        """The chain of everything that is listed first, with a skip of one kind around every block.

        Where the file leaves a stage or an op no choice of skips, it keeps the one that it has.
        """
        x = self.start(stem := drive(self.stem(), first))
        blocks: list[Block] = []
        for run in self.runs:
            plan = drive(self.plan(run), first)
            for slot in run.slots[: plan.blocks]:
                block = drive(self.block(_only(run, kind), slot, plan, len(blocks) + 1, x), first)
                x = self.after(block, x)
                blocks.append(block)
        return stem, tuple(blocks), drive(self.head(), first)


def _runs(stages: Sequence[Stage], skips: Skips) -> Iterator[Run]:
    slots = fewest = 0  # slots and least number of blocks before the stage
    for number, stage in enumerate(stages, 1):
        own = skips.changed(stage.skips)
        places = range(1, max(stage.blocks) + 1)
        yield Run(
            f"stage{number}",
            stage,
            own,
            tuple(Slot(f"block{slots + k:02d}", k == 1, fewest + k >= own.long.reach[0]) for k in places),
        )
        slots += max(stage.blocks)
        fewest += min(stage.blocks)


def _only(run: Run, kind: str) -> Run:
    """The stage with this kind of skip for every block that had a choice."""
    entries = tuple(
        entry.model_copy(update={"skip": (kind,)}) if len(entry.skip or ()) > 1 else entry for entry in run.stage.op
    )
    stage = run.stage.model_copy(update={"op": entries})
    settled = run.stage.skips is not None and len(run.skips.kinds) == 1
    skips = run.skips if settled else run.skips.model_copy(update={"kinds": (kind,)})
    return replace(run, stage=stage, skips=skips)


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


def _bypass(run: Run, slot: Slot, setting: Setting, number: int) -> Walk[Bypass]:
    """The skip around a block."""
    entry = run.entry(setting)
    name = f"{slot.name}.skip" if entry.skip is None else f"{slot.name}.{setting.label}.skip"
    kind = yield from pick(name, run.kinds(slot, entry))
    if kind == "none":
        return Bypass()
    if kind == "long":
        return (yield from _long(run, slot, setting, number))
    if kind == "concat":
        if not run.entry(setting).sized:
            return Bypass(Skip("concat"))
        growth = yield from pick(f"{slot.name}.concat.growth", run.skips.concat.growth)
        return Bypass(Skip("concat"), growth)
    shortcuts = {"add": run.skips.add, "gate": run.skips.gate, "mul": run.skips.mul}[kind].shortcut
    shortcut = yield from pick(f"{slot.name}.{kind}.shortcut", shortcuts)
    return Bypass(Skip(kind, shortcut=shortcut))


def _long(run: Run, slot: Slot, setting: Setting, number: int) -> Walk[Bypass]:
    """A skip from an earlier block or the stem."""
    long, growth, shortcut = run.skips.long, None, "project"
    join = yield from pick(f"{slot.name}.join", long.join)
    if join != "concat":
        shortcut = yield from pick(f"{slot.name}.long.shortcut", long.shortcut)
    elif long.growth is not None and run.entry(setting).sized:
        growth = yield from pick(f"{slot.name}.long.growth", long.growth)
    nearest, farthest = long.reach
    low = 0 if farthest is None else max(0, number - farthest)
    source = yield from pick_number(f"{slot.name}.source", low, number - nearest)
    return Bypass(Skip(join, source, shortcut), growth)
