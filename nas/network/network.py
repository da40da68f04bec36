"""Topology → torch.nn.Module: the network that the constructor calls of its blueprint make."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.network.blueprint import BlockPlan, blueprint
from nas.network.initialisation import layer_starts
from nas.network.modules import construct
from nas.topology import Topology
from nas.topology.vocabulary import HEADS


class JoinedBlock(nn.Module):
    """One block with its skip: y = after(join(F(x), project(resize(s))))."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.shared = plan.shared
        self.transform = construct(plan.transform)
        self.resize = construct(plan.resize) if plan.resize else None
        self.project = construct(plan.project) if plan.project else None
        self.join = construct(plan.join) if plan.join else None
        self.after = construct(plan.after) if plan.after else None

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        if self.shared:
            s = self.transform.preactivate(x)  # type: ignore[operator]  # pre-activation units have it
            y = self.transform.body(s)  # type: ignore[operator]
        else:
            y = self.transform(x)
        if self.join is not None:
            s = s if self.resize is None else self.resize(s, y)
            s = s if self.project is None else self.project(s)
            y = self.join(y, s, x)
        return y if self.after is None else self.after(y)


class Network(nn.Module):
    """A built network: stem → blocks → head.

    The output of a node is kept until the last long skip that starts there has read it.
    """

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        plan = blueprint(topology)
        self.topology = topology
        self.stem = construct(plan.stem)
        self.blocks = nn.ModuleList(map(JoinedBlock, plan.blocks))
        self.head = construct(plan.head)
        self._sources = [None if block.short else block.source for block in plan.blocks]
        self._last_use = plan.last_use
        if HEADS[topology.head.op].tied:
            self.head.tie(self.stem.token.weight)  # type: ignore[operator,union-attr]

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The stem, every block with its skip, and the head."""
        return (self.stem, *self.blocks, self.head)

    def features(self, x: Tensor) -> Tensor:
        """Return the last features, which the head reads."""
        x = self.stem(x)
        kept = {0: x} if 0 in self._last_use else {}
        for number, (block, source) in enumerate(zip(self.blocks, self._sources, strict=True), 1):
            x = block(x, x if source is None else kept[source])
            if source is not None and self._last_use[source] == number:
                del kept[source]
            if number in self._last_use:
                kept[number] = x
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def build(topology: Topology, *, init: str = "he", device: torch.device | str = "cpu") -> Network:
    """Return the network of `topology`, initialised from torch's current random state.

    Its input is (B, *topology.input), its output (B, outputs), or (B, outputs, H, W) and (B, T, outputs) where
    the head is dense. On the device "meta" nothing is allocated.

    init: the recipe's `init`, one of nas.network.initialisation.INITS
    """
    with torch.device(device):
        network = Network(topology)
        _initialise(network, init)
    return network


def _initialise(network: Network, init: str) -> None:
    """Draw the weights that are not those of the modules' own constructors (see nas.network.initialisation)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None and init != "torch":
            nn.init.normal_(module.weight, std=(2 * module.groups / module.weight[:, 0].numel()) ** 0.5)
    for block, starts in zip(network.blocks, layer_starts(network.topology, init), strict=True):
        for start in starts:
            layer = block.transform.get_submodule(start.layer)  # type: ignore[union-attr]
            if start.std:
                nn.init.normal_(layer.weight, std=start.sigma)  # type: ignore[arg-type]
            else:
                nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
