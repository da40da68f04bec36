"""The lines of `__init__`: constructor calls, and comprehensions or loops where calls come again."""

from __future__ import annotations

from collections.abc import Iterator

from nas.export.layout import WIDTH, literal
from nas.export.plan import Step
from nas.network.blueprint import Call
from nas.topology.vocabulary import OPS

DEFAULTS = {"eps": 1e-5, "padding": 0}  # of torch's own modules
ORDER = ["stride", *(name for op in OPS.values() for name in op.options), "norm", "eps"]  # as a person names them


def constructors(parts: list[tuple[str, Call]], steps: tuple[Step, ...] = ()) -> Iterator[str]:
    """Single modules, then those of the steps, as attributes of self."""
    for name, call in parts:
        yield f"self.{name} = {written(call)}"
    for step in steps:
        for slot, calls in step.modules.items():
            yield from _attribute(step, slot, calls)


def written(call: Call, grows: bool = False) -> str:
    """`Basic(64, 128, stride=2)`, without what torch's own modules take for granted."""
    kwargs = dict(call.kwargs)
    if call.name.startswith("nn."):
        kwargs = {key: value for key, value in kwargs.items() if DEFAULTS.get(key) != value}
        if kwargs.get("stride") == call.args[0]:
            del kwargs["stride"]  # a pooling window strides by its own size
    args = [literal(value) for value in call.args]
    named = sorted(kwargs.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER))
    if grows:
        args[0] = "w"
    return f"{call.name}({', '.join([*args, *(f'{key}={literal(value)}' for key, value in named)])})"


def _attribute(step: Step, slot: str, calls: tuple[Call, ...]) -> Iterator[str]:
    """The modules of one slot of a step: one call, a comprehension, or a loop that appends."""
    name, first, grows = f"self.{step.attribute(slot)}", calls[0], step.period == 0
    if len(calls) == 1:
        yield f"{name} = {written(first)}"
        return
    container = "nn.Sequential" if step.is_sequence else "nn.ModuleList"
    rounds = _rounds(step, calls)
    modules = f"{written(first, grows)} {rounds}"
    line = f"{name} = {container}({f'*({modules})' if step.is_sequence else modules})"
    if step.period < 2 and len(line) + 8 <= WIDTH:
        yield line
        return
    yield f"{name} = {container}()"
    yield f"{rounds}:"
    for call in calls[: max(step.period, 1)]:
        yield f"    {name}.append({written(call, grows)})"


def _rounds(step: Step, calls: tuple[Call, ...]) -> str:
    if step.period:
        return f"for _ in range({len(calls) // step.period})"
    by = calls[1].args[0] - calls[0].args[0]
    return f"for w in range({calls[0].args[0]}, {calls[-1].args[0] + by}, {by})"
