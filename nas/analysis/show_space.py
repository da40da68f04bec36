"""What `nas show` prints of a search space: what may be chosen where, how many topologies that makes, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.marks import coloured, fitted, legend, marks
from nas.space import OBJECTIVES, Objective
from nas.space.skips import ONE
from nas.topology.vocabulary import JOINS

if TYPE_CHECKING:
    from nas.space import SearchSpace
    from nas.space.parts import HeadChoice, Stage, StemChoice
    from nas.space.skips import Skips

EXACT = 10**30  # a larger size is written with its power of ten
ARROWS = {"maximize": "↑", "minimize": "↓"}


def space_table(space: SearchSpace, *, width: int = 100) -> Group:
    """Return a table of all choices; below it the task, the size, the objectives, limits and baselines."""
    return Group(_choices(space), _facts(space, width))


def _choices(space: SearchSpace) -> Table:
    """Return one row for each part; alternatives stand between bars, and * marks a choice for each block."""
    network = space.definition.network
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("part", "blocks", "op", "width", "stride", "skips"):
        table.add_column(title, overflow="fold", no_wrap=title == "part")
    table.add_row("stem", "", _ops(network.stem), _either(network.stem.width or ()), "", "")
    before: Skips | None = None
    for number, stage in enumerate(network.stages, 1):
        skips = space.definition.skips.changed(stage.skips)
        told = Text(f"as stage {number - 1}", "dim") if skips == before else _skips(skips)
        before, each = skips, "*" if stage.choose == "block" else ""
        shape = (_either(stage.blocks), _ops(stage, each), _either(stage.width or (), each), _either(stage.stride))
        table.add_row(f"stage {number}", *shape, told)
    table.add_row("head", "", _ops(network.head), "", "", "")
    if any(stage.choose == "block" for stage in network.stages):
        table.caption = Text("* chosen for each block anew\n", "dim")
        table.caption_justify = "left"
    return table


def _ops(part: StemChoice | Stage | HeadChoice, each: str = "") -> Text:
    text = _either(part.labels, each)
    for name, values in part.options.items():
        text.append(f"\n{name}: ", "dim").append_text(_either(values, each))
    return text


def _either(values: Sequence[Any], each: str = "") -> Text:
    """Return a given value, `16`, or a choice, `16 | 32`."""
    text = Text(" | ", "dim").join(Text(str(value)) for value in values)
    return text.append(each, "dim") if len(values) > 1 else text


def _skips(skips: Skips) -> Text:
    """Return the kinds of skip that a block may choose, with their choices, and the joins and reach of long ones."""
    text = Text(" | ", "dim").join(Text(kind, _style(kind)) for kind in skips.kinds)
    for kind in (kind for kind in skips.kinds if kind in JOINS):
        if JOINS[kind].widens:
            text.append(f"\n{kind}: growth ", "dim").append_text(_either(skips.growths(kind)))
        for name, values in skips.options(kind).items():
            text.append(f"\n{kind}: {name} ", "dim").append_text(_either(values))
    if "long" in skips.kinds or skips.at_most > 1:
        nearest, farthest = skips.long.reach
        reach = f"{nearest} … {farthest} blocks back" if farthest else f"{nearest} or more blocks back"
        joins = Text(" | ", "dim").join(Text(join, _style(join)) for join in skips.long.join)
        text.append("\nlong: ", "dim").append_text(joins).append(f", {reach}", "dim")
    if skips.at_most > 1:
        text.append(f"\nup to {skips.at_most} skips, further ones are long", "dim")
    for name, what in (("scale", "each s"), ("branch", "F(x)")):
        if (words := getattr(skips, name)) != (ONE,):
            text.append(f"\nfactor on {what}: ", "dim").append_text(_either(words))
    if skips.where != "any":
        text.append(f"\nwhere: {skips.where}", "dim")
    return text


def _style(kind: str) -> str:
    return JOINS[kind].terminal if kind in JOINS else ""


def _facts(space: SearchSpace, width: int) -> Table:
    task, search, size = space.task, space.search, space.size()
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("task", f"{task.name}: {'×'.join(map(str, task.input))} → {task.outputs}")
    grid.add_row("topologies", f"{size:,}" if size < EXACT else units.large(size))
    grid.add_row("objectives", Text(_listed(map(_objective, space.goals.objectives))))
    limits = [(OBJECTIVES[name], bound) for name, bound in space.limits.items()]
    grid.add_row("limits", _listed(_bounds(limits)) or "none")
    if wanted := Text(_listed(_bounds(space.goals.bounds()))):
        grid.add_row("constraints", wanted)
    grid.add_row("training", _listed(f"{name} {value}" for name, value in space.recipe.model_dump().items() if value))
    grid.add_row(
        "search", f"{search.trials} trials, sampler {search.sampler}, early stopping {search.early_stopping.rule}"
    )
    grid.add_row("", "")
    baselines = {name: marks(topology) for name, topology in space.baselines().items()}
    for number, (name, written) in enumerate(baselines.items()):
        line = Text(f"{name}  ".ljust(2 + max(map(len, baselines))))
        grid.add_row(
            "baselines" if not number else "", line.append_text(coloured(fitted(written, max(20, width - 30))))
        )
    if baselines:
        grid.add_row("", Text(legend(baselines.values()), "dim"))
    return grid


def _objective(objective: Objective) -> str:
    """Return `params ↓`; where the space declares the objective, with its unit and title: `energy ↓ [J, of a run]`."""
    declared = objective.name not in OBJECTIVES
    title = objective.title if objective.title != objective.name else ""
    said = ", ".join(filter(None, (objective.unit, title))) if declared else ""
    return f"{objective.name} {ARROWS[objective.direction]}" + (f" [{said}]" if said else "")


def _bounds(bounds: Iterable[tuple[Objective, float]]) -> Iterable[str]:
    for objective, bound in bounds:
        yield f"{objective.name} {objective.comparison} {objective.unit_format.show(bound)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
