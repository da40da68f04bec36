"""Write the lines of `__init__`: constructor calls, and comprehensions or loops where calls are repeated."""

from __future__ import annotations

from collections.abc import Iterator

from nas.export.block_groups import BlockGroup
from nas.export.code_style import WIDTH, literal
from nas.network.plans import Call
from nas.topology.vocabulary import OPS

DEFAULTS = {"eps": 1e-5, "padding": 0}  # of the modules of torch
ORDER = [
    "stride",
    *(name for op in OPS.values() for name in op.options),
    "norm",
    "eps",
]  # the order in which arguments are written


def constructor_lines(parts: list[tuple[str, Call]], groups: tuple[BlockGroup, ...] = ()) -> Iterator[str]:
    """Return the lines that set single modules, and then the modules of the groups, as attributes of self."""
    for name, call in parts:
        yield f"self.{name} = {write_call(call)}"
    for group in groups:
        for slot, calls in group.modules.items():
            yield from _attribute(group, slot, calls)


def write_call(call: Call, grows: bool = False) -> str:
    """Return the call as code, `Basic(64, 128, stride=2)`, without arguments that equal a default of torch.

    grows: the first argument is the loop variable `w`.
    """
    kwargs = dict(call.kwargs)
    if call.name.startswith("nn."):
        kwargs = {key: value for key, value in kwargs.items() if DEFAULTS.get(key) != value}
        if kwargs.get("stride") == call.args[0]:
            del kwargs["stride"]  # the default stride of a pooling window is its size
    args = [literal(value) for value in call.args]
    named = sorted(kwargs.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER))
    if grows:
        args[0] = "w"
    return f"{call.name}({', '.join([*args, *(f'{key}={literal(value)}' for key, value in named)])})"


def _attribute(group: BlockGroup, slot: str, calls: tuple[Call, ...]) -> Iterator[str]:
    """Return the lines that make the modules of one slot of a group: a call, a comprehension, or a loop."""
    name, first, grows = f"self.{group.attribute(slot)}", calls[0], group.period == 0
    if len(calls) == 1:
        yield f"{name} = {write_call(first)}"
        return
    container = "nn.Sequential" if group.is_sequence else "nn.ModuleList"
    rounds = _rounds(group, calls)
    modules = f"{write_call(first, grows)} {rounds}"
    line = f"{name} = {container}({f'*({modules})' if group.is_sequence else modules})"
    if group.period < 2 and len(line) + 8 <= WIDTH:
        yield line
        return
    yield f"{name} = {container}()"
    yield f"{rounds}:"
    for call in calls[: max(group.period, 1)]:
        yield f"    {name}.append({write_call(call, grows)})"


def _rounds(group: BlockGroup, calls: tuple[Call, ...]) -> str:
    if group.period:
        return f"for _ in range({len(calls) // group.period})"
    by = calls[1].args[0] - calls[0].args[0]
    return f"for w in range({calls[0].args[0]}, {calls[-1].args[0] + by}, {by})"
