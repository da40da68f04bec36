"""The price of a topology before anyone pays it: parameters, FLOPs, and the memory of a training step.

Each distinct module of a network is measured once (`probe`); the peak of the whole follows by walking the chain
forward and backward with the modules' figures. Nothing is allocated.

Conventions. One multiply-add is one FLOP; what torch has no formula for (norms, activations, sums) is named in
`uncounted`. Memory is what tensors occupy: weights, gradients, what the optimiser keeps, one batch, the activations
saved for the backward pass (once per storage) and the temporaries between ops. Not in it: the data set, what an
allocator rounds up and a convolution library takes as scratch space.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from nas.cost.probe import ModuleCost, TensorSpec, probe
from nas.network.blueprint import blueprint
from nas.network.plans import BlockPlan, BypassPlan, Call
from nas.space.objectives import predicted_objectives
from nas.topology import Topology
from nas.topology.vocabulary import HEADS, STEMS

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

LOGITS = Call("nn.Identity")  # the input of the loss


@dataclass(frozen=True)
class Cost:
    """The cost of training a topology by a recipe.

    params     parameters
    flops      multiply-adds of the forward pass of one sample
    memory     bytes at the peak of a training step, for the recipe's batch size, precision and optimiser
    inference  bytes at the peak of a forward pass without gradients, for the same batch size
    uncounted  ops of the forward pass that `flops` has no formula for
    """

    params: int
    flops: int
    memory: int
    inference: int
    uncounted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacedModule:
    """A module's cost, and the numbers of the tensors that it reads and makes (0 is the batch, 1 the stem's output)."""

    cost: ModuleCost
    tensors: dict[str, int]  # "x", "y" and, for the sources of long skips, "s1", "s2", …


def measure(topology: Topology, recipe: Recipe | None = None) -> Cost:
    """Return the cost of training `topology` by `recipe`, the default one if None.

    It takes 1 ms if all modules of the topology were measured before.
    """
    recipe = recipe or _default()
    batch = _batch(topology, recipe)
    modules = _placed_modules(topology, batch, recipe)
    costs = [module.cost for module in modules]
    weights, gradients = sum(cost.weights for cost in costs), sum(cost.gradients for cost in costs)
    still = weights + batch.nbytes
    moments = 2 if recipe.optimizer == "adamw" else int(recipe.momentum > 0)  # tensors that the optimiser keeps
    return Cost(
        params=sum(cost.params for cost in costs),
        flops=sum(cost.flops for cost in costs) // recipe.batch_size,
        memory=still + moments * gradients + max(gradients, _training(modules)),
        inference=still + _inference(modules),
        uncounted=tuple(sorted(frozenset().union(*(cost.uncounted for cost in costs[:-1])))),
    )


def predict(topology: Topology, recipe: Recipe | None = None) -> dict[str, int]:
    """Return name → value of every objective that is known before training."""
    cost = measure(topology, recipe)
    return {name: getattr(cost, name) for name in predicted_objectives()}


def itemise(topology: Topology, recipe: Recipe | None = None) -> list[tuple[int, int]]:
    """Return (params, flops) of the stem, of every block with its skip, and of the head.

    Their sums are those of `measure`.
    """
    recipe = recipe or _default()
    modules = _placed_modules(topology, _batch(topology, recipe), recipe)[:-1]
    return [(module.cost.params, module.cost.flops // recipe.batch_size) for module in modules]


def _default() -> Recipe:
    from nas.tasks.recipe import Recipe  # late: with a recipe of one's own, pydantic is not needed here

    return Recipe()


def _batch(topology: Topology, recipe: Recipe) -> TensorSpec:
    dtype = torch.int64 if STEMS[topology.stem.op].reads_tokens else torch.float32
    return TensorSpec((recipe.batch_size, *topology.input), dtype, grad=False)


def _placed_modules(topology: Topology, batch: TensorSpec, recipe: Recipe) -> list[PlacedModule]:
    """Return every module of the network in its place, and the loss behind the head."""
    plan = blueprint(topology)
    tied = ("token.weight",) if HEADS[topology.head.op].tied else ()  # the head's decoder is the same tensor
    outputs, places = [batch], [0]  # places: identity passes its input on, under the same number

    def add(cost: ModuleCost, sources: Sequence[int] = ()) -> PlacedModule:
        tensors = {"x": places[-1], "y": len(outputs) if cost.output_bytes else places[-1]}
        tensors |= {f"s{place}": places[source + 1] for place, source in enumerate(sources, 1)}
        outputs.append(cost.output)
        places.append(tensors["y"])
        return PlacedModule(cost, tensors)

    settings = {"precision": recipe.precision, "memory": recipe.memory, "drop_path": recipe.drop_path}
    price = functools.partial(probe, **settings)
    modules = [add(price(plan.stem, batch, without=tied))]
    for block in plan.blocks:
        sources = list(dict.fromkeys(bypass.source for bypass in block.bypasses if not bypass.short))
        cost = price(_anywhere(block, sources), outputs[-1], tuple(outputs[source + 1] for source in sources))
        modules.append(add(cost, sources))
    modules.append(add(price(plan.head, outputs[-1])))
    modules.append(add(probe(LOGITS, outputs[-1], smoothing=recipe.label_smoothing)))
    return modules


def _anywhere(block: BlockPlan, sources: Sequence[int]) -> BlockPlan:
    """Return the plan with the number of each source, from 1, in the place of its node: its cost is the same."""

    def renamed(bypass: BypassPlan) -> BypassPlan:
        return replace(bypass, source=0 if bypass.short else 1 + sources.index(bypass.source))

    joins = (replace(join, bypasses=tuple(map(renamed, join.bypasses))) for join in block.joins)
    return replace(block, joins=tuple(joins))


def _sizes(modules: list[PlacedModule]) -> dict[int, int]:
    """Return the bytes of each tensor; 0 for the batch, which is alive all the time."""
    return {0: 0} | {module.tensors["y"]: module.cost.output_bytes for module in modules if module.cost.output_bytes}


def _released(modules: list[PlacedModule]) -> list[list[int]]:
    """Return the tensors that the forward pass releases after each module: no later module reads them."""
    last: dict[int, int] = {}
    for number, module in enumerate(modules):
        last |= {tensor: number for name, tensor in module.tensors.items() if name != "y"}
    released: list[list[int]] = [[] for _ in modules]
    for tensor, number in last.items():
        released[number].append(tensor)
    return released


def _inference(modules: list[PlacedModule]) -> int:
    """Return the peak of a forward pass that saves nothing, above the weights and the batch."""
    sizes = _sizes(modules)
    live = peak = 0
    for module, released in zip(modules, _released(modules), strict=True):
        peak = max(peak, live + module.cost.inference_peak)
        live += module.cost.output_bytes - sum(sizes[tensor] for tensor in released)
    return peak


def _training(modules: list[PlacedModule]) -> int:
    """Return the peak of a forward and a backward pass, above the weights, their momentum and the batch."""
    sizes = _sizes(modules)
    holders: Counter[int] = Counter()  # how many modules have saved each tensor
    live = peak = 0
    for module, released in zip(modules, _released(modules), strict=True):
        peak = max(peak, live + module.cost.forward_peak)
        live += module.cost.saved_bytes + module.cost.output_bytes
        holders.update({module.tensors[name] for name in module.cost.saves})
        live -= sum(sizes[tensor] for tensor in released if not holders[tensor])
    waiting: dict[int, int] = {}  # gradients of the sources of long skips, until the source's own turn
    for module in reversed(modules):
        cost, tensors = module.cost, module.tensors
        if cost.output_bytes:
            live -= waiting.pop(tensors["y"], 0)
        own = {tensors[name] for name in cost.saves}
        holders.subtract(own)
        others = frozenset(name for name, tensor in tensors.items() if name != "y" and holders[tensor] > 0)
        peak = max(peak, live + cost.backward_peak(others))
        live += cost.gradients - cost.saved_bytes - sum(sizes[tensor] for tensor in own if not holders[tensor])
        for name, nbytes in cost.source_gradients.items():
            if tensors[name] not in waiting:
                waiting[tensors[name]] = nbytes
                live += nbytes
    return peak
