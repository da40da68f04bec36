"""Write the stem and the head of the exported network; simple ones are expressions instead of classes."""

from __future__ import annotations

from dataclasses import dataclass

from nas.network.plans import Blueprint, Call
from nas.topology import Topology
from nas.topology.block import options_of
from nas.topology.vocabulary import HEADS, STEMS

BARE_STEMS = {"Input": "x", "Flatten": "x.flatten(1)"}
# head → the code that prepares the last features for its layer; head → the name of the layer in our class
POOLED = {"Classify": ".mean((2, 3))", "ClassifySequence": ".mean(1)", "Conv1x1": "", "nn.Linear": ""}
INNER = {"Conv1x1": "conv", "nn.Linear": "", "LanguageModel": "decoder"}


@dataclass(frozen=True, slots=True)
class ExportedHead:
    """The head of the exported network, `self.head`.

    call        the constructor call that makes it
    forward     the lines of `forward`
    reset       the line of `reset_classifier`
    built_name  the name of the same module in the built network: `head`, or a part of it
    """

    call: Call
    forward: list[str]
    reset: str
    built_name: str


def exported_head(topology: Topology, call: Call) -> ExportedHead:
    """Return the head of the exported file; `call` makes the head of the built network."""
    inner = INNER.get(call.name, "linear")
    if call.name not in POOLED:
        forward = [f"return self.head(self.forward_features(x))  # {shape_text(output_shape(topology))}"]
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
    value, shape = f"self.head(self.forward_features(x){POOLED[call.name]})", shape_text(output_shape(topology))
    size = dict(call.kwargs).get("size")
    if size is None:
        return [f"return {value}  # {shape}"]
    return [f"x = {value}", f'return F.interpolate(x, {size}, mode="bilinear", align_corners=False)  # {shape}']


def _reset(name: str, layer: Call) -> str:
    """Return the line that replaces the layer by one with `num_classes` outputs, on the same device and dtype."""
    call = str(Call(layer.name, (layer.args[0], 0, *layer.args[2:]), layer.kwargs)).replace(", 0", ", num_classes", 1)
    return f"{name} = {call}.to({name}.weight)"


def output_shape(topology: Topology) -> tuple[int, ...]:
    """Return the output's shape for one sample: (outputs,), (outputs, H, W), or (T, outputs) of a language model."""
    output = HEADS[topology.head.op].output
    if output == "pixel":
        return (topology.outputs, *topology.input[1:])
    return (*topology.input, topology.outputs) if output == "token" else (topology.outputs,)


def shape_text(shape: tuple[int, ...]) -> str:
    """Return the shape of a batch as text: (B, 3, 32, 32)."""
    return f"(B, {', '.join(map(str, shape))})"


def example_input(topology: Topology) -> str:
    """Return the code of an example input, a batch of one sample."""
    sizes = ", ".join(map(str, (1, *topology.input)))
    if STEMS[topology.stem.op].reads_tokens:
        return f"torch.randint({options_of(topology.stem)['vocabulary']}, ({sizes}))"
    return f"torch.randn({sizes})"


def exported_stem(plan: Blueprint) -> list[tuple[str, Call]]:
    """Return (attribute, constructor call) of the stem; nothing if it is written as an expression."""
    return [] if plan.stem.name in BARE_STEMS else [("stem", plan.stem)]
