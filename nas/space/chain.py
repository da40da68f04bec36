"""The walk through a space: stem, stages, blocks with their skips, head. Every decision is named here.

    stem.op  stem.width  stage1.blocks  stage1.op  stage1.width  stage1.stride  stage1.kernel (an option)
    block03.skip  block03.source  block03.join  block03.concat.growth  block03.add.shortcut  block03.scale
    block03.skip2  block03.skip2.source  block03.skip2.join  block03.skip2.scale  block03.branch  head.op

With `choose: block` the op, width and options of a stage are decided for each block: `block03.op`. A choice in the
entry of one op carries its name: `stage1.mbconv.kernel`, `block03.identity.skip`.

The number in `block03` is that of a place: each stage has as many places as it may have blocks, so that the k-th block
of a stage has the same name however many blocks precede it. `source` counts the blocks that exist, as a topology does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from nas.errors import TopologyError
from nas.space.decisions import Decision, Trail, Walk, drive, explore, first, pick, pick_number
from nas.space.parts import BlockEntry, Network, OpChoice, Stage
from nas.space.skips import ONE, Skips, scale_of
from nas.topology.block import Block, Head, Pairs, Scale, Skip, Stem, options_of
from nas.topology.geometry import Scalar, Shape
from nas.topology.shapes import transformed
from nas.topology.vocabulary import JOINS, STEMS

Ends = tuple[Stem, tuple[Block, ...], Head]


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A place for a block. `long` says whether a long skip has a source there, however few blocks precede it."""

    name: str
    first: bool
    long: bool


@dataclass(frozen=True, slots=True, eq=False)
class PlacedStage:
    """A stage with its name, the skips that are valid in it, and its places for blocks."""

    name: str
    stage: Stage
    skips: Skips
    places: tuple[BlockPlace, ...]

    @property
    def depth(self) -> str:
        """The name of the parameter that is the number of blocks."""
        return f"{self.name}.blocks"

    def entry(self, label: str) -> BlockEntry:
        """Return the entry of the file for the op with this label."""
        return self.stage.op[self.stage.labels.index(label)]

    def kinds(self, place: BlockPlace, entry: BlockEntry) -> tuple[str, ...]:
        """Return the kinds of skip that a block in this place may choose; `none` where there is no other."""
        kinds = self.skips.kinds if entry.skip is None else entry.skip
        return tuple(kind for kind in kinds if kind != "long" or place.long) or ("none",)


@dataclass(frozen=True, slots=True)
class Setting:
    """The decided op of a stem, block or head: its entry, its width (None for that of its input) and its options."""

    label: str
    op: str
    width: int | None
    options: Pairs


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions about a stage as a whole; without a setting each block has its own."""

    blocks: int
    stride: int = 1
    setting: Setting | None = None


@dataclass(frozen=True, slots=True)
class SkipChoice:
    """Decided skips, and beside them the growth of F (a share of its width, channels, or None) and its factor."""

    skips: tuple[Skip, ...] = ()
    growth: float | None = None
    branch: Scale | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """A decided block before its skip is decided."""

    setting: Setting
    stride: int

    def block(self, bypass: SkipChoice = SkipChoice()) -> Block:
        """Return the block with this skip."""
        width = self.setting.width
        if bypass.growth is not None:
            width = narrowed(width, bypass.growth)
        return Block(self.setting.op, width, self.stride, bypass.skips, self.setting.options, bypass.branch)


def narrowed(width: int | None, growth: float) -> int:
    """Return the width of F beside a skip that widens: `growth` channels, or that share of `width`, at least 1.

    Raises TopologyError for a share of a width that is not given.
    """
    if isinstance(growth, int):
        return growth
    if width is None:
        raise TopologyError(f"growth={growth} is a share of the stage's width, but the stage says no width")
    return max(1, round(growth * width))


@dataclass(frozen=True)
class Chain:
    """The walks through one network section of a file, for inputs of this shape."""

    network: Network
    stages: tuple[PlacedStage, ...]
    input: tuple[int, ...]

    @classmethod
    def of(cls, network: Network, skips: Skips, input: tuple[int, ...]) -> Chain:
        """Return the walks through `network`, whose stages change what `skips` says."""
        return cls(network, tuple(_placed(network.stages, skips)), input)

    @functools.cached_property
    def follows_shapes(self) -> bool:
        """Whether a decision depends on shapes. If so, no skip changes a shape (see check.py)."""
        return any(placed.skips.where == "same_shape" for placed in self.stages)

    def walk(self) -> Walk[Ends]:
        """Walk through the whole space."""
        stem = yield from self.stem()
        blocks: list[Block] = []
        x = self.start(stem)
        for placed in self.stages:
            plan = yield from self.plan(placed)
            for place in placed.places[: plan.blocks]:
                block = yield from self.block(placed, place, plan, len(blocks) + 1, x)
                x = self.after(block, x)
                blocks.append(block)
        head = yield from self.head()
        return stem, tuple(blocks), head

    def stem(self) -> Walk[Stem]:
        """Decide the stem."""
        setting = yield from _setting("stem", self.network.stem)
        return Stem(setting.op, setting.width, setting.options)

    def head(self) -> Walk[Head]:
        """Decide the head."""
        setting = yield from _setting("head", self.network.head)
        return Head(setting.op, setting.options)

    def plan(self, placed: PlacedStage) -> Walk[Plan]:
        """Decide the number of blocks of a stage, and everything that all of them share."""
        stage = placed.stage
        blocks = yield from pick(placed.depth, stage.blocks)
        if blocks == 0:
            return Plan(0)
        setting = None
        if stage.choose == "stage":
            setting = yield from _setting(placed.name, stage)
        stride = yield from pick(f"{placed.name}.stride", stage.stride)
        return Plan(blocks, stride, setting)

    def block(self, placed: PlacedStage, place: BlockPlace, plan: Plan, number: int, x: Shape | None) -> Walk[Block]:
        """Decide the block with this number in the topology; x is the shape of its input, where shapes are followed."""
        plain = yield from self.plain(placed, place, plan)
        return (yield from self.joined(placed, place, plain, number, x))

    def plain(self, placed: PlacedStage, place: BlockPlace, plan: Plan) -> Walk[Plain]:
        """Decide a block without its skip."""
        setting = plan.setting or (yield from _setting(place.name, placed.stage))
        return Plain(setting, plan.stride if place.first else 1)

    def joined(self, placed: PlacedStage, place: BlockPlace, plain: Plain, number: int, x: Shape | None) -> Walk[Block]:
        """Decide the skips of a block."""
        if not self.skippable(placed, plain, x):
            return plain.block()
        bypass = yield from self.bypass(placed, place, plain.setting.label, number)
        return plain.block(bypass)

    def skippable(self, placed: PlacedStage, plain: Plain, x: Shape | None) -> bool:
        """Return whether the block may have a skip: always, or only where F(x) has the shape of x."""
        return x is None or placed.skips.where == "any" or self.after(plain.block(), x) == x

    def bypass(self, placed: PlacedStage, place: BlockPlace, label: str, number: int) -> Walk[SkipChoice]:
        """Decide the skips around a block of the op with this label."""
        entry, skips = placed.entry(label), placed.skips
        name = f"{place.name}.skip" if entry.skip is None else f"{place.name}.{label}.skip"
        kind = yield from pick(name, placed.kinds(place, entry))
        if kind == "none":
            return SkipChoice()
        if kind == "long":
            skip, growth = yield from _long(skips, place.name, number, narrows=entry.sized)
        else:
            skip, growth = yield from _short(skips, place.name, kind, narrows=entry.sized)
        found = [skip]
        while len(found) < skips.at_most and place.long:
            name = f"{place.name}.skip{len(found) + 1}"
            if (yield from pick(name, ("none", "long"))) == "none":
                break
            found.append((yield from self.further(placed, name, number)))
        branch = scale_of((yield from pick(f"{place.name}.branch", skips.branch)))
        return SkipChoice(tuple(found), growth, branch)

    def further(self, placed: PlacedStage, name: str, number: int) -> Walk[Skip]:
        """Decide a further skip around a block, the parameters of which begin with `name`."""
        skip, _ = yield from _long(placed.skips, name, number, narrows=False)
        return skip

    def plans(self, placed: PlacedStage) -> Iterator[tuple[Trail, Plan]]:
        """Yield every plan of a stage at its greatest depth, with the decisions that lead to it."""

        def among(decision: Decision) -> Sequence[Scalar]:
            return (len(placed.places),) if decision.name == placed.depth else decision.values

        return explore(functools.partial(self.plan, placed), among)

    def start(self, stem: Stem) -> Shape | None:
        """Return the shape of y[0]; None where shapes are not followed."""
        if not self.follows_shapes:
            return None
        return STEMS[stem.op].shape(self.input, stem.width, options_of(stem))

    def after(self, block: Block, x: Shape | None) -> Shape | None:
        """Return the shape of F(x); None where shapes are not followed."""
        return None if x is None else transformed(block, x)

    def uniform(self, kind: str, decide: Callable[[Decision], Scalar] = first) -> Ends:
        """Return the chain with a skip of one kind around every block.

        decide  chooses everything else: what is listed first unless given

        A stage or an op for which the file leaves no choice of skips keeps its own.
        """
        stages = tuple(_only(placed, kind) for placed in self.stages)
        return drive(replace(self, stages=stages).walk(), decide)


def _placed(stages: Sequence[Stage], skips: Skips) -> Iterator[PlacedStage]:
    before = fewest = 0  # places and least number of blocks before the stage
    for number, stage in enumerate(stages, 1):
        own = skips.changed(stage.skips)
        yield PlacedStage(
            f"stage{number}",
            stage,
            own,
            tuple(
                BlockPlace(f"block{before + k:02d}", k == 1, fewest + k >= own.long.reach[0])
                for k in range(1, max(stage.blocks) + 1)
            ),
        )
        before += max(stage.blocks)
        fewest += min(stage.blocks)


def _only(placed: PlacedStage, kind: str) -> PlacedStage:
    """Return the stage with this kind of skip alone for every block that had a choice."""
    entries = tuple(
        entry.model_copy(update={"skip": (kind,)}) if len(entry.skip or ()) > 1 else entry for entry in placed.stage.op
    )
    stage = placed.stage.model_copy(update={"op": entries})
    settled = placed.stage.skips is not None and len(placed.skips.kinds) == 1
    plain = {name: (ONE,) for name in ("scale", "branch") if ONE in getattr(placed.skips, name)}
    skips = placed.skips if settled else placed.skips.model_copy(update={"kinds": (kind,), "at_most": 1, **plain})
    return replace(placed, stage=stage, skips=skips)


def _setting(name: str, part: OpChoice) -> Walk[Setting]:
    """Decide the op, and its options and its width as far as the file mentions them."""
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


def _options(skips: Skips, name: str, kind: str) -> Walk[dict[str, Scalar]]:
    """Decide the options of a join."""
    options: dict[str, Scalar] = {}
    for option, values in skips.options(kind).items():
        options[option] = yield from pick(f"{name}.{kind}.{option}", values)
    return options


def _short(skips: Skips, name: str, kind: str, *, narrows: bool) -> Walk[tuple[Skip, float | None]]:
    """Decide a skip from the block's own input, and the growth of F beside it.

    name     what the names of the decisions begin with
    narrows  whether the op has a width of its own
    """
    growth, shortcut = None, "project"
    if JOINS[kind].widens:
        growth = yield from pick(f"{name}.{kind}.growth", skips.growths(kind) if narrows else (None,))
    else:
        shortcut = yield from pick(f"{name}.{kind}.shortcut", skips.shortcuts(kind))
    options = yield from _options(skips, name, kind)
    scale = yield from _scale(skips, name, kind)
    return Skip(kind, None, shortcut, options, scale), growth


def _long(skips: Skips, name: str, number: int, *, narrows: bool) -> Walk[tuple[Skip, float | None]]:
    """Decide a skip from an earlier block or the stem, and the growth of F beside it; see `_short`."""
    long, growth, shortcut = skips.long, None, "project"
    join = yield from pick(f"{name}.join", long.join)
    if not JOINS[join].widens:
        shortcut = yield from pick(f"{name}.long.shortcut", long.shortcut)
    elif long.growth is not None and narrows:
        growth = yield from pick(f"{name}.long.growth", long.growth)
    nearest, farthest = long.reach
    low = 0 if farthest is None else max(0, number - farthest)
    options = yield from _options(skips, name, join)
    source = yield from pick_number(f"{name}.source", low, number - nearest)
    scale = yield from _scale(skips, name, join)
    return Skip(join, source, shortcut, options, scale), growth


def _scale(skips: Skips, name: str, kind: str) -> Walk[Scale | None]:
    """Decide the factor on a bypass; a join with weights of its own has none."""
    if JOINS[kind].together:
        return None
    return scale_of((yield from pick(f"{name}.scale", skips.scale)))
