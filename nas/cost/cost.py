"""The price of a topology before anyone pays it: parameters, FLOPs, and the memory of a training step.

Each distinct part of a network is measured once (`probe`); the peak of the whole follows by walking the chain
forward and backward with the parts' figures. Nothing is allocated.

Conventions. One multiply-add is one FLOP; what torch has no formula for (norms, activations, sums) is named in
`uncounted`. Memory is what tensors occupy: weights, gradients, what the optimiser keeps, one batch, the activations
saved for the backward pass (once per storage) and the temporaries between ops. Not in it: the data set, what an
allocator rounds up and a convolution library takes as scratch space.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from nas.cost.probe import Part, Spec, probe
from nas.network.blueprint import Call, blueprint
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

LOGITS = Call("nn.Identity")  # what the loss reads


@dataclass(frozen=True)
class Cost:
    """What a topology costs under a recipe.

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
class Step:
    """A part and its place: the tensors that it reads and makes, by number (0 is the batch, 1 the stem's output)."""

    part: Part
    tensors: dict[str, int]  # "x", "y" and, for a long skip, "s"


def measure(topology: Topology, recipe: Recipe | None = None) -> Cost:
    """The price of training `topology` by `recipe` (the default one if None). 1 ms, once its parts are known."""
    recipe = recipe or _default()
    batch = _batch(topology, recipe)
    steps = _steps(topology, batch, recipe)
    parts = [step.part for step in steps]
    weights, gradients = sum(part.weights for part in parts), sum(part.gradients for part in parts)
    still = weights + batch.bytes
    moments = 2 if recipe.optimizer == "adamw" else int(recipe.momentum > 0)  # tensors that the optimiser keeps
    return Cost(
        params=sum(part.params for part in parts),
        flops=sum(part.flops for part in parts) // recipe.batch_size,
        memory=still + moments * gradients + max(gradients, _training(steps)),
        inference=still + _inference(steps),
        uncounted=tuple(sorted(frozenset().union(*(part.uncounted for part in parts[:-1])))),
    )


def itemised(topology: Topology, recipe: Recipe | None = None) -> list[tuple[int, int]]:
    """(params, flops) of the stem, of every block with its skip, and of the head; they add up to `measure`'s."""
    recipe = recipe or _default()
    steps = _steps(topology, _batch(topology, recipe), recipe)[:-1]
    return [(step.part.params, step.part.flops // recipe.batch_size) for step in steps]


def _default() -> Recipe:
    from nas.tasks.recipe import Recipe  # late: with a recipe of one's own, pydantic is not needed here

    return Recipe()


def _batch(topology: Topology, recipe: Recipe) -> Spec:
    dtype = torch.int64 if topology.stem.op == "token" else torch.float32
    return Spec((recipe.batch_size, *topology.input), dtype, grad=False)


def _steps(topology: Topology, batch: Spec, recipe: Recipe) -> list[Step]:
    """Every part of the network in its place, and the loss behind the head."""
    plan = blueprint(topology)
    tied = ("token.weight",) if topology.head.op == "language_model" else ()  # the head's decoder is the same tensor
    outputs, places = [batch], [0]  # places: identity passes its input on, under the same number

    def add(part: Part, source: int | None = None) -> Step:
        tensors = {"x": places[-1], "y": len(outputs) if part.size else places[-1]}
        if source is not None:
            tensors["s"] = places[source + 1]
        outputs.append(part.output)
        places.append(tensors["y"])
        return Step(part, tensors)

    price = functools.partial(probe, precision=recipe.precision, memory=recipe.memory)
    steps = [add(price(plan.stem, batch, without=tied))]
    for block in plan.blocks:
        source = None if block.short else block.source
        s = None if source is None else outputs[source + 1]
        part = price(replace(block, source=None), outputs[-1], s)
        steps.append(add(part, source))
    steps.append(add(price(plan.head, outputs[-1])))
    steps.append(add(probe(LOGITS, outputs[-1], smoothing=recipe.label_smoothing)))
    return steps


def _sizes(steps: list[Step]) -> dict[int, int]:
    """Bytes of each tensor; none for the batch, which is there all the time."""
    return {0: 0} | {step.tensors["y"]: step.part.size for step in steps if step.part.size}


def _released(steps: list[Step]) -> list[list[int]]:
    """What the forward pass lets go of after each step: the tensors that no later one reads."""
    last: dict[int, int] = {}
    for number, step in enumerate(steps):
        last |= {tensor: number for name, tensor in step.tensors.items() if name != "y"}
    released: list[list[int]] = [[] for _ in steps]
    for tensor, number in last.items():
        released[number].append(tensor)
    return released


def _inference(steps: list[Step]) -> int:
    """High water of a forward pass that saves nothing, above the weights and the batch."""
    sizes = _sizes(steps)
    live = peak = 0
    for step, released in zip(steps, _released(steps), strict=True):
        peak = max(peak, live + step.part.inference)
        live += step.part.size - sum(sizes[tensor] for tensor in released)
    return peak


def _training(steps: list[Step]) -> int:
    """High water of a forward and a backward pass, above the weights, their momentum and the batch."""
    sizes = _sizes(steps)
    holders: Counter[int] = Counter()  # how many parts have saved each tensor
    live = peak = 0
    for step, released in zip(steps, _released(steps), strict=True):
        peak = max(peak, live + step.part.forward)
        live += step.part.saved + step.part.size
        holders.update({step.tensors[name] for name in step.part.holds})
        live -= sum(sizes[tensor] for tensor in released if not holders[tensor])
    waiting: dict[int, int] = {}  # gradients of the sources of long skips, until the source's own turn
    for step in reversed(steps):
        part, tensors = step.part, step.tensors
        if part.size:
            live -= waiting.pop(tensors["y"], 0)
        own = {tensors[name] for name in part.holds}
        holders.subtract(own)
        others = holders[tensors["x"]] > 0, "s" in tensors and holders[tensors["s"]] > 0
        peak = max(peak, live + part.backward[others])
        live += part.gradients - part.saved - sum(sizes[tensor] for tensor in own if not holders[tensor])
        if "s" in tensors and tensors["s"] not in waiting:
            waiting[tensors["s"]] = part.waits
            live += part.waits
    return peak
