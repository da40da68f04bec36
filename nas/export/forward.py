"""Write the lines of `forward`: y = after(join(F(x), project(resize(s)))) in plain Python, one line per block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nas.export.block_groups import BlockGroup
from nas.export.stem_and_head import BARE_STEMS
from nas.network.blueprint import BlockPlan, Blueprint
from nas.topology import Topology
from nas.topology.geometry import Shape
from nas.topology.shapes import Wire
from nas.topology.vocabulary import JOINS


@dataclass(frozen=True, slots=True)
class Line:
    """A line `target = value  # comment`; only the value if there is no target. `inner`: the body of a loop."""

    value: str
    target: str = ""
    comment: str = ""
    inner: bool = False

    def __str__(self) -> str:
        line = f"{self.target} = {self.value}" if self.target else self.value
        return ("    " if self.inner else "") + line + (f"  # {self.comment}" if self.comment else "")


def forward_lines(topology: Topology, plan: Blueprint, groups: tuple[BlockGroup, ...]) -> list[str]:
    """Return the lines of `forward_features`, which computes the last features from the input."""
    kept = plan.last_use
    lines = _stem(topology, plan, keep=0 in kept)
    for group in groups:
        wires = topology.wiring.wires[group.first - 1 : group.last]
        lines += _loop(group, wires) if len(group.plans) > 1 and not group.is_sequence else _line(group, wires)
        if group.last in kept:
            _keep(lines, group.last)
    return [str(line) for line in _returned(lines)]


def _returned(lines: list[Line]) -> list[Line]:
    """Return the lines with a `return` of the last value at their end."""
    last = lines[-1] if lines else None
    if last is None or last.inner or last.target != "x":
        return [*lines, Line("return x")]
    return [*lines[:-1], Line(f"return {last.value}", comment=last.comment)]


def _keep(lines: list[Line], node: int) -> None:
    """Keep the output of a node under the name y<node>, for the long skips that start there."""
    if lines and lines[-1].target == "x" and not lines[-1].inner:
        lines[-1] = replace(lines[-1], target=f"x = y{node}")
    else:
        lines.append(Line("x", f"y{node}"))


def _stem(topology: Topology, plan: Blueprint, keep: bool) -> list[Line]:
    value = BARE_STEMS.get(plan.stem.name, "self.stem(x)")
    if value == "x":
        return [Line("x", "y0")] if keep else []
    return [Line(value, "x = y0" if keep else "x", _shape(topology.wiring.stem))]


def _line(group: BlockGroup, wires: tuple[Wire, ...]) -> list[Line]:
    """Return the lines of one block, or of an nn.Sequential of several blocks."""
    plan, wire = group.plans[0], wires[-1]
    if not group.modules and plan.join is None:
        return []  # the identity
    names = {slot: f"self.{group.attribute(slot)}" for slot in group.modules}
    before, value = _value(plan, wire, names)
    return [*before, Line(value, "x", _comment(plan, wires[-1:]))]


def _loop(group: BlockGroup, wires: tuple[Wire, ...]) -> list[Line]:
    """Return a loop over consecutive blocks that have the same line."""
    slots = list(group.modules)
    lists = [f"self.{group.attribute(slot)}" for slot in slots]
    over = lists[0] if len(lists) == 1 else f"zip({', '.join(lists)}, strict=True)"
    _, value = _value(group.plans[0], wires[0], {slot: slot for slot in slots})
    return [
        Line(f"for {', '.join(slots)} in {over}:"),
        Line(value, "x", _comment(group.plans[0], wires), inner=True),
    ]


def _value(plan: BlockPlan, wire: Wire, names: Mapping[str, str]) -> tuple[list[Line], str]:
    """Return the lines that must come before the output of a block is computed, and the expression of this output."""
    s = "x" if plan.short else f"y{plan.source}"
    f = f"{names['block']}(x)" if "block" in names else "x"
    before = []
    if plan.shared:  # F and the projection read the same activated input
        before.append(Line(f"{names['block']}.preactivate(x)", "a"))
        s, f = "a", f"{names['block']}.body(a)"
    if plan.resize:
        before += [] if f == "x" else [Line(f, "f")]
        f = before[-1].target if before else "x"
        before.append(Line(_resized(s, f, wire), "s"))
        s = "s"
    if plan.project:
        s = f"{names['project']}({s})"
    return before, _after(plan, names, _joined(plan, names, f, s, wire))


def _resized(s: str, f: str, wire: Wire) -> str:
    """Return the code that resizes s to the resolution of f, as nas.network.ops.skips.Resize does."""
    assert wire.bypass is not None
    if all(n >= m for n, m in zip(wire.bypass.size, wire.transformed.size, strict=True)):
        return f"F.adaptive_avg_pool2d({s}, ({f}.shape[2], {f}.shape[3]))"
    return f"F.interpolate({s}, size={f}.shape[2:])"


def _joined(plan: BlockPlan, names: Mapping[str, str], f: str, s: str, wire: Wire) -> str:
    """Return the code of the join: the expression of its row in JOINS, or a call of its module."""
    if plan.kind is None:
        return f
    if plan.kind in names:
        return f"{names[plan.kind]}({f}, {s}, x)"
    expression = JOINS[plan.kind].expression
    assert expression is not None  # else it has a module
    return expression.format(f=f, s=s, dim=1 if wire.output.layout == "image" else -1)


def _after(plan: BlockPlan, names: Mapping[str, str], value: str) -> str:
    if plan.after is None:
        return value
    return f"{names['norm']}({value})" if "norm" in names else f"F.relu_({value})"


def _comment(plan: BlockPlan, wires: tuple[Wire, ...]) -> str:
    """Return `concat y3: (B, 64, 8, 8)`: the kind of the skip, its source if it is long, and the output's shape."""
    source = f" y{plan.source}" if plan.kind and not plan.short else ""
    return f"{plan.kind}{source}: " * bool(plan.kind) + _shape(wires[0].output, wires[-1].output)


def _shape(first: Shape, last: Shape | None = None) -> str:
    """Return a shape as (B, 64, 8, 8); a size that differs between the first and the last block is written 64…96."""
    pairs = zip(first.tensor, (last or first).tensor, strict=True)
    return f"(B, {', '.join(str(m) if n == m else f'{n}…{m}' for n, m in pairs)})"
