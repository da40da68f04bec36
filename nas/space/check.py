"""Whether every point of a space can be built: found before anything is searched, and said with its key.

The ends are tried with each other; then every shape that a stage may see is led through every block that it may
have. Only concat makes a width depend on skips: such a width "varies", and no block may need to know it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nas.block import options_of
from nas.errors import TopologyError
from nas.shapes import transformed
from nas.space.chain import Chain, Plain, Plan, Run, narrowed
from nas.space.decisions import Decision, explore
from nas.space.faults import Fault, Path
from nas.space.language import BlockEntry, Part
from nas.topology import Topology
from nas.vocabulary import MAX_WIDTH, STEMS, Scalar, Shape

MAX_SETTINGS = 4096
PRIME = 65521  # no number of heads and no expansion divides it: it stands for a width that varies

View = tuple[Shape, bool]  # what a block sees, and whether its width varies


def check(chain: Chain, input: tuple[int, ...], outputs: int) -> None:
    """Raises Fault, at the key it comes from, unless every topology of the space can be built for the task."""
    _check_settings(chain)
    _check_ends(chain, input, outputs)
    _check_same_shape(chain)
    starts = [STEMS[stem.op].shape(input, stem.width, options_of(stem)) for _, stem in explore(chain.stem)]
    views: set[View] = {(shape, False) for shape in starts}
    widest = max(shape.width for shape in starts)
    for place, run in enumerate(chain.runs):
        try:
            views = set().union(*(_through(chain, run, plan, views) for plan in _plans(chain, run)))
            widest = _widest(run, widest)
        except TopologyError as error:
            raise Fault(str(error), "network", "stages", place) from None


def _check_settings(chain: Chain) -> None:
    """Everything below tries every setting of a stage, one by one."""
    network = chain.network
    parts: list[tuple[Path, Part]] = [(("stem",), network.stem), (("head",), network.head)]
    parts += [(("stages", place), stage) for place, stage in enumerate(network.stages)]
    for path, part in parts:
        if (settings := part.settings) > MAX_SETTINGS:
            rule = f"must have at most {MAX_SETTINGS} combinations of op, width, options and stride, but has {settings}"
            raise Fault(rule, "network", *path)


def _check_ends(chain: Chain, input: tuple[int, ...], outputs: int) -> None:
    """Every stem with every head; no block changes the layout in between."""
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
    """Shapes are followed without their skips, so that no skip may change one."""
    for place, run in enumerate(chain.runs):
        if chain.follows_shapes and any(_concats(run, entry) for entry in run.stage.op):
            own = () if run.stage.skips is None else ("network", "stages", place)
            rule = "must leave out concat where a stage says `where: same_shape`: concat changes every shape"
            raise Fault(rule, *own, "skips", "kinds")


def _concats(run: Run, entry: BlockEntry) -> bool:
    """Whether the output of such a block may be wider than F(x)."""
    return any(True for _ in _growths(run, entry))


def _growths(run: Run, entry: BlockEntry) -> Iterator[float | None]:
    """What a concat may make of the width of F: None where it stays as it is."""
    kinds, skips = run.kinds(run.slots[-1], entry), run.skips
    if "concat" in kinds:
        yield from skips.concat.growth if entry.sized else (None,)
    if "long" in kinds and "concat" in skips.long.join:
        yield from skips.long.growth if skips.long.growth is not None and entry.sized else (None,)


def _plans(chain: Chain, run: Run) -> Iterator[Plan]:
    """Every plan of the stage at its greatest depth."""

    def among(decision: Decision) -> Sequence[Scalar]:
        return (max(run.stage.blocks),) if decision.name == f"{run.name}.blocks" else decision.values

    return (plan for _, plan in explore(functools.partial(chain.plan, run), among))


def _through(chain: Chain, run: Run, plan: Plan, views: set[View]) -> set[View]:
    """What the next stage may see after this one, at any of its depths."""
    seen = set(views) if 0 in run.stage.blocks else set()
    for depth, slot in enumerate(run.slots, 1):
        plains = [plain for _, plain in explore(functools.partial(chain.plain, run, slot, plan))]
        views = {_output(run, plain, view) for plain in plains for view in views}
        if depth in run.stage.blocks:
            seen |= views
    return seen


def _output(run: Run, plain: Plain, view: View) -> View:
    """The shape of F(x), once it is possible at every width that F may have. Raises TopologyError."""
    (shape, varies), block = view, plain.block()
    entry = run.entry(plain.setting)
    keeps = entry.sized and block.width is None
    try:
        for growth in _growths(run, entry):
            if growth is not None:
                transformed(replace(block, width=narrowed(block.width, growth)), shape)
        after = transformed(block, shape)
        if keeps and varies:
            transformed(block, Shape(PRIME, shape.size))
    except TopologyError as error:
        why = "; its input's width varies here, since concat is offered" if keeps and varies else ""
        raise TopologyError(f"{block.op}: {error}{why}") from None
    return after, (block.width is None and varies) or _concats(run, entry)


def _widest(run: Run, widest: int) -> int:
    """A bound of the width of every y[i] up to the end of the stage, given that up to its beginning.

    Raises TopologyError where a concat in every block would be too wide.
    """
    for _ in run.slots:
        full, gain = [widest], [0]
        for entry in run.stage.op:
            for width in _widths(run, entry):
                full.append(width or 0)
                gain += [(width or widest) if g is None else narrowed(width, g) for g in _growths(run, entry)]
        widest = max(*full, widest + max(gain))
        if widest > MAX_WIDTH:
            raise TopologyError(f"width <= {MAX_WIDTH} must hold, but with a concat in every block it is {widest}")
    return widest


def _widths(run: Run, entry: BlockEntry) -> tuple[int | None, ...]:
    """The widths that F may have; None is that of its input."""
    return (entry.width or run.stage.width or (None,)) if entry.sized else (None,)
