"""The check, before a search, that every topology of a space can be built; a fault names the key that causes it.

Every stem is tried with every head; then every shape that may enter a stage is passed through every block that the
stage may have. Only a join that widens makes a width depend on skips: such a width varies, and no block may depend on
its value.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace

from nas.errors import TopologyError
from nas.space.chain import Chain, PlacedStage, Plain, Plan, narrowed
from nas.space.decisions import explore
from nas.space.faults import Fault, Path
from nas.space.parts import BlockEntry
from nas.topology import Topology
from nas.topology.block import options_of
from nas.topology.geometry import MAX_WIDTH, Shape
from nas.topology.shapes import transformed
from nas.topology.vocabulary import JOINS, STEMS

MAX_SETTINGS = 4096
PRIME = 65521  # no number of heads and no expansion divides it: it stands for a width that varies

View = tuple[Shape, bool]  # the shape of a block's input, and whether its width varies


def check(chain: Chain, input: tuple[int, ...], outputs: int) -> None:
    """Raise Fault, at the key that causes it, unless every topology of the space can be built for the task."""
    _check_settings(chain)
    _check_ends(chain, input, outputs)
    _check_same_shape(chain)
    starts = [STEMS[stem.op].shape(input, stem.width, options_of(stem)) for _, stem in explore(chain.stem)]
    views: set[View] = {(shape, False) for shape in starts}
    widest = max(shape.width for shape in starts)
    for place, placed in enumerate(chain.stages):
        try:
            views = set().union(*(_through(chain, placed, plan, views) for _, plan in chain.plans(placed)))
            widest = _widest(placed, widest)
        except TopologyError as error:
            raise Fault(str(error), "network", "stages", place) from None


def _check_settings(chain: Chain) -> None:
    """Raise Fault where there are too many settings: the checks below try each of them."""
    network = chain.network
    settings: dict[Path, int] = {("stem",): network.stem.settings * network.head.settings}
    settings |= {("stages", place): stage.settings for place, stage in enumerate(network.stages)}
    for path, count in settings.items():
        if count > MAX_SETTINGS:
            rule = f"must have at most {MAX_SETTINGS} combinations of op, width, options and stride, but has {count}"
            raise Fault(rule, "network", *path)


def _check_ends(chain: Chain, input: tuple[int, ...], outputs: int) -> None:
    """Raise Fault unless every stem fits every head; no block in between changes the layout."""
    what = "stem"
    try:
        stems = [stem for _, stem in explore(chain.stem)]
        what = "head"
        heads = [head for _, head in explore(chain.head)]
        for stem, head in itertools.product(stems, heads):
            what = "stem"
            STEMS[stem.op].shape(input, stem.width, options_of(stem))
            what = "head"
            Topology(input, stem, (), head, outputs)
    except TopologyError as error:
        raise Fault(str(error), "network", what) from None


def _check_same_shape(chain: Chain) -> None:
    """Raise Fault where shapes are followed and a skip widens: shapes are followed without the skips."""
    for place, placed in enumerate(chain.stages):
        if chain.follows_shapes and any(_widens(placed, entry) for entry in placed.stage.op):
            own = () if placed.stage.skips is None else ("network", "stages", place)
            rule = "must leave out concat where a stage says `where: same_shape`: concat changes every shape"
            raise Fault(rule, *own, "skips", "kinds")


def _widens(placed: PlacedStage, entry: BlockEntry) -> bool:
    """Return whether the output of such a block may be wider than F(x)."""
    return any(True for _ in _growths(placed, entry))


def _growths(placed: PlacedStage, entry: BlockEntry) -> Iterator[float | None]:
    """Yield the growths of the skips that widen; None where F keeps its width."""
    kinds, skips = placed.kinds(placed.places[-1], entry), placed.skips
    for kind in kinds:
        if kind in JOINS and JOINS[kind].widens:
            yield from skips.growths(kind) if entry.sized else (None,)
    if _may_be_long(placed, entry) and any(JOINS[join].widens for join in skips.long.join):
        yield from skips.long.growth if skips.long.growth is not None and entry.sized else (None,)


def _through(chain: Chain, placed: PlacedStage, plan: Plan, views: set[View]) -> set[View]:
    """Return the views that the next stage may have after this one, at any of its depths."""
    seen = set(views) if 0 in placed.stage.blocks else set()
    settled = False  # all blocks but the first are alike: once one changes nothing, none does
    for depth, place in enumerate(placed.places, 1):
        if not settled:
            plains = (plain for _, plain in explore(functools.partial(chain.plain, placed, place, plan)))
            after = {_output(placed, plain, view) for plain in plains for view in views}
            settled = depth > 1 and after == views
            views = after
        if depth in placed.stage.blocks:
            seen |= views
    return seen


def _output(placed: PlacedStage, plain: Plain, view: View) -> View:
    """Return the shape of F(x) and whether its width varies. Raises TopologyError where a width is impossible."""
    (shape, varies), block = view, plain.block()
    entry = placed.entry(plain.setting.label)
    keeps = entry.sized and block.width is None
    try:
        for growth in _growths(placed, entry):
            if growth is not None:
                transformed(replace(block, width=narrowed(block.width, growth)), shape)
        after = transformed(block, shape)
        if keeps and varies:
            transformed(block, Shape(PRIME, shape.size))
    except TopologyError as error:
        why = "; its input's width varies here, since concat is offered" if keeps and varies else ""
        raise TopologyError(f"{block.op}: {error}{why}") from None
    return after, (block.width is None and varies) or _widens(placed, entry)


def _widest(placed: PlacedStage, widest: int) -> int:
    """Return a bound of the width of every y[i] up to the end of the stage, from the bound at its beginning.

    Raises TopologyError where a concat in every block would be too wide.
    """
    for _ in placed.places:
        full, gain = [widest], [0]
        for entry in placed.stage.op:
            for width in _widths(placed, entry):
                full.append(width or 0)
                own = [(width or widest) if g is None else narrowed(width, g) for g in _growths(placed, entry)]
                gain += [each + widest * (_sources(placed, entry) - 1) for each in own]
        widest = max(*full, widest + max(gain))
        if widest > MAX_WIDTH:
            raise TopologyError(f"width <= {MAX_WIDTH} must hold, but with a concat in every block it is {widest}")
    return widest


def _may_be_long(placed: PlacedStage, entry: BlockEntry) -> bool:
    """Return whether a skip of such a block may be a long one."""
    kinds = placed.kinds(placed.places[-1], entry)
    return "long" in kinds or (placed.skips.at_most > 1 and kinds != ("none",))


def _sources(placed: PlacedStage, entry: BlockEntry) -> int:
    """Return how many bypasses of such a block may make it wider."""
    widening = any(JOINS[join].widens for join in placed.skips.long.join)
    return placed.skips.at_most if _may_be_long(placed, entry) and widening else 1


def _widths(placed: PlacedStage, entry: BlockEntry) -> tuple[int | None, ...]:
    """Return the widths that F may have; None is that of its input."""
    return (entry.width or placed.stage.width or (None,)) if entry.sized else (None,)
