"""Write the lines of `forward`: y = after(join(scale(F(x)), scale(project(resize(s))))) in plain Python.

A block is one line, with a line before it for every bypass that is resized and for every join but the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nas.export.block_groups import BlockGroup
from nas.export.stem_and_head import BARE_STEMS
from nas.network.plans import BlockPlan, Blueprint, Call, JoinPlan, numbered
from nas.topology import Topology
from nas.topology.geometry import Shape
from nas.topology.shapes import Bypass, Wire
from nas.topology.vocabulary import JOINS, SCALES


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
    if not group.modules and not plan.joins and plan.scale is None:
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
    f = f"{names['block']}(x)" if "block" in names else "x"
    before = []
    if plan.shared:  # F and the projection read the same activated input
        before.append(Line(f"{names['block']}.preactivate(x)", "a"))
        f = f"{names['block']}.body(a)"
    f = f"{names['subnorm']}({f})" if plan.norm else f
    f = _scaled(plan.scale, names.get("alpha"), f)
    for join in plan.joins:
        if join.first > 1:
            before.append(Line(f, "f"))
            f = "f"
        lines, f, read = _bypasses(join, wire, names, f)
        before += lines
        f = _joined(join, names.get(numbered(join.kind, join.first)), f, read, wire)
    return before, _after(plan, names, f)


def _bypasses(join: JoinPlan, wire: Wire, names: Mapping[str, str], f: str) -> tuple[list[Line], str, list[str]]:
    """Return the lines that resize the bypasses of a join, the name of f after them, and the bypasses as code."""
    before, read = list[Line](), list[str]()
    for number, bypass in zip(join.numbers, join.bypasses, strict=True):
        s = "a" if bypass.shared else "x" if bypass.short else f"y{bypass.source}"
        if bypass.resize:
            if f not in ("x", "f"):
                before.append(Line(f, "f"))
                f = "f"
            name = "s" if len(join.bypasses) == 1 else f"s{number}"
            before.append(Line(_resized(s, f, wire.bypasses[number - 1]), name))
            s = name
        if bypass.project:
            s = f"{names[numbered('project', number)]}({s})"
        read.append(_scaled(bypass.scale, names.get(numbered("beta", number)), s))
    return before, f, read


def _scaled(scale: Call | None, name: str | None, value: str) -> str:
    """Return the code of a value with its factor: a product, or a call of its module."""
    if scale is None:
        return value
    if name is not None:
        return f"{name}({value})"
    (rule,) = {rule.expression for rule in SCALES.values() if rule.module == scale.name}
    assert rule is not None  # else it has a module
    return rule.format(t=value, **dict(scale.kwargs))


def _resized(s: str, f: str, bypass: Bypass) -> str:
    """Return the code that resizes s to the resolution of f, as nas.network.ops.skips.Resize does."""
    if all(n >= m for n, m in zip(bypass.shape.size, bypass.target.size, strict=True)):
        return f"F.adaptive_avg_pool2d({s}, ({f}.shape[2], {f}.shape[3]))"
    return f"F.interpolate({s}, size={f}.shape[2:])"


def _joined(join: JoinPlan, name: str | None, f: str, read: Sequence[str], wire: Wire) -> str:
    """Return the code of the join: the expression of its row in JOINS, or a call of its module."""
    row = JOINS[join.kind]
    if name is not None:
        return f"{name}({', '.join([f, *read, *([] if row.together else ['x'])])})"
    assert row.expression is not None  # else it has a module
    return row.expression.format(f=f, s=read[0], dim=1 if wire.output.layout == "image" else -1)


def _after(plan: BlockPlan, names: Mapping[str, str], value: str) -> str:
    if plan.after is None:
        return value
    return f"{names['norm']}({value})" if "norm" in names else f"F.relu_({value})"


def _comment(plan: BlockPlan, wires: tuple[Wire, ...]) -> str:
    """Return `concat y3: (B, 64, 8, 8)`: the kind of each join, its long sources, and the output's shape."""
    kinds = [
        " ".join([join.kind, *(f"y{bypass.source}" for bypass in join.bypasses if not bypass.short)])
        for join in plan.joins
    ]
    return f"{', '.join(kinds)}: " * bool(kinds) + _shape(wires[0].output, wires[-1].output)


def _shape(first: Shape, last: Shape | None = None) -> str:
    """Return a shape as (B, 64, 8, 8); a size that differs between the first and the last block is written 64…96."""
    pairs = zip(first.tensor, (last or first).tensor, strict=True)
    return f"(B, {', '.join(str(m) if n == m else f'{n}…{m}' for n, m in pairs)})"
