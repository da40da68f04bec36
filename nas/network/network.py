"""Topology → torch.nn.Module: the network that the constructor calls of its blueprint make."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.network.blueprint import blueprint
from nas.network.initialisation import layer_starts
from nas.network.modules import construct
from nas.network.plans import BlockPlan, BypassPlan, numbered
from nas.topology import Topology
from nas.topology.vocabulary import HEADS, JOINS


class JoinedBlock(nn.Module):
    """One block with its skips: y = after(join(… join(scale(norm(F(x))), s₁) …, sₙ)).

    A bypass is s = scale(project(resize(source))). BlockPlan.calls says how the modules are named.

    drop_path  the chance that a sample goes without F while the block is trained
    """

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.norm = self.branch = self.resize = self.project = self.scale = self.join = self.after = None
        self.transform: Any  # pre-activation units have `preactivate` and `body`
        for name, call in plan.calls.items():
            setattr(self, name, construct(call))
        self._shared, self._plain = plan.shared, plan.norm is None and plan.scale is None
        self.residual, self.drop_path = plan.residual, 0.0
        self._joins = [(JOINS[join.kind].together, [*map(Way.of, join.bypasses, join.numbers)]) for join in plan.joins]

    def forward(self, x: Tensor, *sources: Tensor) -> Tensor:
        """Return y, given x and the source of every skip."""
        activated = x
        if self._shared:
            activated = self.transform.preactivate(x)
            y = self.transform.body(activated)
        else:
            y = self.transform(x)
        if not self._plain:
            y = y if self.norm is None else self.norm(y)
            y = y if self.branch is None else self.branch(y)
        if self.drop_path and self.training:
            y = y * _kept(y, self.drop_path)
        for together, ways in self._joins:
            read = [self._bypass(way, activated if way.shared else sources[way.place], y) for way in ways]
            join = getattr(self, ways[0].join)
            y = join(y, *read) if together else join(y, read[0], x)
        return y if self.after is None else self.after(y)

    def _bypass(self, way: Way, s: Tensor, y: Tensor) -> Tensor:
        if way.resize:
            s = getattr(self, way.resize)(s, y)
        if way.project:
            s = getattr(self, way.project)(s)
        return getattr(self, way.scale)(s) if way.scale else s


class Way(NamedTuple):
    """The names of the modules of a bypass, empty for those that it has not; `place` is that of its source."""

    place: int
    shared: bool
    resize: str
    project: str
    scale: str
    join: str

    @classmethod
    def of(cls, bypass: BypassPlan, number: int) -> Way:
        """Return the names for the bypass of the skip with this number."""
        calls = {"resize": bypass.resize, "project": bypass.project, "scale": bypass.scale}
        names = {name: numbered(name, number) if call else "" for name, call in calls.items()}
        return cls(number - 1, bypass.shared, **names, join=numbered("join", number))


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
        self._sources = [[None if one.short else one.source for one in block.bypasses] for block in plan.blocks]
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
        for number, (block, sources) in enumerate(zip(self.blocks, self._sources, strict=True), 1):
            x = block(x, *[x if source is None else kept[source] for source in sources])
            for source in sources:
                if source is not None and self._last_use[source] == number:
                    kept.pop(source, None)
            if number in self._last_use:
                kept[number] = x
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def set_drop_path(network: nn.Module, rate: float) -> None:
    """Leave out residual branches at random while `network` is trained: stochastic depth.

    The chance grows linearly with depth, from 0 at the first residual branch to `rate` at the last (Huang et al. 2016,
    arXiv:1603.09382, as torchvision counts).
    """
    blocks = [block for block in network.modules() if isinstance(block, JoinedBlock) and block.residual]
    for number, block in enumerate(blocks):
        block.drop_path = rate * number / max(len(blocks) - 1, 1)


def _kept(y: Tensor, rate: float) -> Tensor:
    """Return a factor for each sample, (B, 1, …): 0 with the chance `rate`, otherwise 1 / (1 − rate)."""
    kept = y.new_empty((len(y), *[1] * (y.ndim - 1)))
    return kept.bernoulli_(1 - rate).div_(1 - rate)


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
