"""The ends of the exported network: where plain Python says a stem or a head better than a class, it does."""

from __future__ import annotations

from dataclasses import dataclass

from nas.network.blueprint import Blueprint, Call
from nas.topology import Topology
from nas.topology.block import options_of
from nas.topology.vocabulary import HEADS, STEMS

BARE_STEMS = {"Input": "x", "Flatten": "x.flatten(1)"}
# head → what its layer reads of the last features; the layer's name in our class
POOLED = {"Classify": ".mean((2, 3))", "ClassifySequence": ".mean(1)", "Conv1x1": "", "nn.Linear": ""}
INNER = {"Conv1x1": "conv", "nn.Linear": "", "LanguageModel": "decoder"}


@dataclass(frozen=True, slots=True)
class ExportedHead:
    """self.head: the call that makes it, what `forward` and `reset_classifier` do, and its old name of `head`."""

    call: Call
    forward: list[str]
    reset: str
    built_name: str


def exported_head(topology: Topology, call: Call) -> ExportedHead:
    """The head as the exported file has it."""
    inner = INNER.get(call.name, "linear")
    if call.name not in POOLED:
        forward = [f"return self.head(self.forward_features(x))  # {batched(output_shape(topology))}"]
        return ExportedHead(call, forward, _reset(f"self.head.{inner}", _last_layer(call)), "head")
    layer = _last_layer(call)
    return ExportedHead(
        layer, _pooled(topology, call), _reset("self.head", layer), f"head.{inner}" if inner else "head"
    )


def _last_layer(call: Call) -> Call:
    width, outputs = call.args[:2]
    if call.name == "Conv1x1":
        return Call("nn.Conv2d", (width, outputs, 1))
    if call.name == "LanguageModel":
        return Call("nn.Linear", (call.args[2], outputs), (("bias", False),))
    return Call("nn.Linear", (width, outputs))


def _pooled(topology: Topology, call: Call) -> list[str]:
    value, shape = f"self.head(self.forward_features(x){POOLED[call.name]})", batched(output_shape(topology))
    size = dict(call.kwargs).get("size")
    if size is None:
        return [f"return {value}  # {shape}"]
    return [f"x = {value}", f'return F.interpolate(x, {size}, mode="bilinear", align_corners=False)  # {shape}']


def _reset(name: str, layer: Call) -> str:
    """The layer anew with `num_classes` outputs, on the device and in the precision of the old one."""
    call = str(Call(layer.name, (layer.args[0], 0, *layer.args[2:]), layer.kwargs)).replace(", 0", ", num_classes", 1)
    return f"{name} = {call}.to({name}.weight)"


def output_shape(topology: Topology) -> tuple[int, ...]:
    """The outputs for one sample: (outputs,), (outputs, H, W), or (T, outputs) of a language model."""
    output = HEADS[topology.head.op].output
    if output == "pixel":
        return (topology.outputs, *topology.input[1:])
    return (*topology.input, topology.outputs) if output == "token" else (topology.outputs,)


def batched(shape: tuple[int, ...]) -> str:
    return f"(B, {', '.join(map(str, shape))})"


def example(topology: Topology) -> str:
    """An input that the network reads, as an expression."""
    sizes = ", ".join(map(str, (1, *topology.input)))
    if STEMS[topology.stem.op].reads_tokens:
        return f"torch.randint({options_of(topology.stem)['vocabulary']}, ({sizes}))"
    return f"torch.randn({sizes})"


def exported_stem(plan: Blueprint) -> list[tuple[str, Call]]:
    """The stem as a module, where it is one."""
    return [] if plan.stem.name in BARE_STEMS else [("stem", plan.stem)]
