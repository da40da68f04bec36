"""Write the lines of `__init__` that draw weights which the modules do not draw (see nas.network.initialisation).

They draw in the order in which nas.network.network draws, so that a seed gives the same untrained network, except where
blocks with gates are written as a loop: there the gates are made after the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nas.export.block_groups import BlockGroup
from nas.network.initialisation import LayerStart, layer_starts
from nas.topology import Topology

NAMES = "abcd"  # of the blocks of one round of a loop


def start_lines(topology: Topology, groups: Sequence[BlockGroup], text: str, init: str) -> Iterator[str]:
    """Yield the lines; `text` is the code that makes the modules, `init` the recipe's."""
    if "nn.Conv2d(" in text and "bias=False" in text and init != "torch":
        two = "2 * m.groups" if "groups=" in text else "2"
        yield "for m in self.modules():"
        yield "    if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015"
        yield f"        nn.init.normal_(m.weight, std=({two} / m.weight[:, 0].numel()) ** 0.5)"
    starts = layer_starts(topology, init)
    for group in groups:
        name = f"self.{group.attribute('block')}"
        if len(group.plans) == 1:
            yield from (_drawn(name, start) for start in starts[group.first - 1])
            continue
        drawn = {place: starts[group.first - 1 + place] for place in range(max(group.period, 1))}
        yield from _loop(name, len(drawn), {place: found for place, found in drawn.items() if found})


def _loop(name: str, period: int, drawn: Mapping[int, Sequence[LayerStart]]) -> Iterator[str]:
    """Yield a loop over the blocks of a group; `drawn` holds what is drawn in a round, by the place of the block."""
    if not drawn:
        return
    names = {place: NAMES[place] if period > 1 else "block" for place in drawn}
    slices = [f"{name}[{place}::{period}]" if period > 1 else name for place in drawn]
    blocks = slices[0] if len(slices) == 1 else f"zip({', '.join(slices)}, strict=True)"
    yield f"for {', '.join(names.values())} in {blocks}:"
    yield from (f"    {_drawn(names[place], start)}" for place, found in drawn.items() for start in found)


def _drawn(block: str, start: LayerStart) -> str:
    """Return the line that draws the weights of a layer."""
    weight = f'{block}.get_parameter("{start.layer}.weight")'
    return f"nn.init.normal_({weight}, std={start.text})" if start.std else f"nn.init.zeros_({weight})"
