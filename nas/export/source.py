"""Write the text of network.py: the classes that it uses, a class Network, and the topology as data."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from nas.errors import ExportError
from nas.export.block_groups import BlockGroup, group_blocks
from nas.export.class_sources import collect_class_sources, import_lines
from nas.export.code_style import split_line, wrap_text
from nas.export.constructors import constructor_lines
from nas.export.forward import forward_lines
from nas.export.initialisation import start_lines
from nas.export.stem_and_head import (
    BARE_STEMS,
    ExportedHead,
    example_input,
    exported_head,
    exported_stem,
    output_shape,
    shape_text,
)
from nas.network.blueprint import blueprint
from nas.network.plans import Blueprint
from nas.topology import Topology
from nas.topology.block import Block
from nas.topology.shapes import Wire
from nas.topology.vocabulary import HEADS

HEADER = '''\
"""{title}

    network = load_weights("{weights}")  # Network() is untrained

{notes}
"""

import timeit

{imports}


'''

NETWORK = '''\
class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
{init}

    def forward_features(self, x: Tensor) -> Tensor:
{features}

    def forward(self, x: Tensor) -> Tensor:
{forward}

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
{reset}


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{topology}
"""

if __name__ == "__main__":
    network, x = Network().eval(), {example}
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{{name:14}}{{sum(p.numel() for p in part.parameters()):>14,}}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{{tuple(x.shape)}} -> {{tuple(network(x).shape)}} in {{ms:.1f}} ms")
'''


def write_source(
    topology: Topology, title: str, parameters: int, weights: str = "weights.safetensors", init: str = "he"
) -> str:
    """Return the text of network.py, which `ruff format` does not change.

    title       the name of the network, in the first line; see `safe_title`
    parameters  the number of its parameters
    weights     the name of the file with its weights
    init        how its weights start: the recipe's `init`

    Raises ExportError for a topology with unknown words, which could be code.
    """
    plan = blueprint(topology)
    parts, head = group_blocks(plan), exported_head(topology, plan.head)
    classes = collect_class_sources(_classes(plan, parts, head))
    body = NETWORK.format(
        init=_method(_init(topology, plan, parts, head, classes, init)),
        features=_method(forward_lines(topology, plan, parts)),
        forward=_method(head.forward),
        reset=_method([head.reset]),
        topology=_as_data(topology),
        example=example_input(topology),
    )
    text = "\n\n\n".join([*classes, body])
    header = HEADER.format(
        title=wrap_text(_title(topology, title, parameters)),
        notes=wrap_text(_notes(topology, plan)),
        weights=safe_title(weights),
        imports=import_lines(text),
    )
    return header + text


def safe_title(name: str) -> str:
    """Return a name, which may come from anyone, as at most 50 characters that cannot end a docstring."""
    return re.sub(r"[^A-Za-z0-9 .,:/()+_-]+", "?", name).strip()[:50] or "network"


def _method(lines: Iterable[str]) -> str:
    return "\n".join(short for long in lines for short in split_line(" " * 8 + long))


def _title(topology: Topology, name: str, parameters: int) -> str:
    ends = f"{shape_text(topology.input)} -> {shape_text(output_shape(topology))}"
    return f"{safe_title(name)}: {parameters:,} parameters, {ends}."


def _notes(topology: Topology, plan: Blueprint) -> str:
    nodes = (f"y{node} is the output of {f'block {node}' if node else 'the stem'}" for node in sorted(plan.last_use))
    kept = "; " + next(nodes) if plan.last_use else ""
    return f"{summarize_skips(topology)}{kept}. It needs torch, load_weights safetensors. Written by skipnas."


def summarize_skips(topology: Topology) -> str:
    """Return `12 blocks: 7 add, 2 long concat, 3 without a skip`."""
    kinds = Counter(
        kind
        for block, wire in zip(topology.blocks, topology.wiring.wires, strict=True)
        for kind in _kinds(block, wire) or ["without a skip"]
    )
    order = sorted(kinds, key=lambda kind: (kind == "without a skip", -kinds[kind], kind))
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in order)
    return f"{len(topology)} block{'s' * (len(topology) != 1)}" + f": {counts}" * bool(counts)


def _kinds(block: Block, wire: Wire) -> list[str]:
    """Return the kind of each skip of a block, with `long` before it where it is long."""
    pairs = zip(block.skips, wire.bypasses, strict=True)
    return [("" if bypass.short else "long ") + skip.kind for skip, bypass in pairs]


def _classes(plan: Blueprint, parts: tuple[BlockGroup, ...], head: ExportedHead) -> list[str]:
    """Return the names of the classes of nas.network.ops that the file needs, in the order of their first use."""
    inner = [call.name for group in parts for calls in group.modules.values() for call in calls]
    names = dict.fromkeys([plan.stem.name, *inner, head.call.name])
    return [name for name in names if not name.startswith("nn.") and name not in BARE_STEMS]


def _init(
    topology: Topology,
    plan: Blueprint,
    parts: tuple[BlockGroup, ...],
    head: ExportedHead,
    classes: list[str],
    init: str,
) -> list[str]:
    lines = [*constructor_lines(exported_stem(plan), parts), *constructor_lines([("head", head.call)])]
    if HEADS[topology.head.op].tied:
        lines.append("self.head.tie(self.stem.token.weight)")
    return [*lines, *start_lines(topology, parts, "\n".join([*classes, *lines]), init)]


def _as_data(topology: Topology) -> str:
    """Return the topology as JSON without spaces. Raises ExportError for a word that would need escaping in Python."""
    text = json.dumps(topology.to_dict(), separators=(",", ":"))
    if not re.fullmatch(r'[\w{}\[\]",:.+-]*', text, re.ASCII):
        raise ExportError("a topology with words that are not in the vocabulary cannot be written as code")
    return text
