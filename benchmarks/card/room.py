"""The room that a training needs on a card that it shares, what takes it beside tensors, and what candidates leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import bare
from benchmarks.card import topologies
from benchmarks.card.machine import MIB, Goal, Machine, Row
from benchmarks.card.memory import evaluator
from nas.cost import measure
from nas.errors import OutOfMemory
from nas.network import build
from nas.network.compat import TorchDispatchMode
from nas.network.samples import sample_inputs
from nas.searching.packing import SAFETY
from nas.topology import Topology
from nas.training.data import layout_of

TITLE = "The least limit under which a captured training runs, over its prediction; ops that need scratch memory"
SECONDS = 120
CANDIDATES = 100
FACTORS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
CASES = (  # network, batch, precision
    ("densenet40", 512, "bf16"),
    ("wide_resnet16_4", 512, "bf16"),
    ("unet", 128, "float32"),
    ("drawn", 512, "bf16"),
    ("resnet20", 512, "bf16"),
    ("mobilenet_like", 512, "bf16"),
    ("highway_conv17", 512, "bf16"),
    ("densenet40", 128, "float32"),
)
SCRATCH = (("mobilenet_like", 512, "float32"), ("vit", 512, "float32"), ("vit", 512, "bf16"))


def rows(machine: Machine) -> Iterator[Row]:
    """Yield what a hundred candidates leave, a row for each case, then the ops that need most scratch memory."""
    yield left_behind(machine, 3 if machine.tiny else CANDIDATES)
    known = topologies.for_memory(machine.tiny)
    cases = [(name, 8, "float32") for name in known] if machine.tiny else CASES
    for name, batch, precision in cases:
        recipe = bare.recipe(epochs=2, batch_size=batch, precision=precision)
        row: Row = {"network": name, "batch": batch, "precision": precision}
        yield row | {"fits in": least(machine, known[name], recipe) or f"more than {FACTORS[-1]}"}
    for name, batch, precision in cases[:1] if machine.tiny else SCRATCH:
        row = {"network": name, "batch": batch, "precision": precision}
        yield row | {"scratch, MiB": scratch(machine, known[name], batch, precision == "bf16")}


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield whether what packing gives a candidate is enough, and whether candidates leave nothing."""
    for row in rows:
        if "left, MiB" in row:
            text = f"nothing left after {row['trained']} candidates ({row['left, MiB']} MiB)"
            yield Goal(text, row["left, MiB"] <= 1)
    found = [row for row in rows if "fits in" in row]
    over = [f"{row['network']} at {row['batch']}: {row['fits in']}" for row in found if not fits(row)]
    text = f"{SAFETY} times the prediction is enough for a captured training: {len(found) - len(over)} of {len(found)}"
    yield Goal(text + (f" (not {'; '.join(over)})" if over else ""), not over)


def fits(row: Row) -> bool:
    """Return whether the training ran within what packing gives it."""
    return isinstance(row["fits in"], float) and row["fits in"] <= SAFETY


def least(machine: Machine, topology: Topology, recipe: Any) -> float | None:
    """Return the least of FACTORS such that the training runs with so many times its predicted memory, data apart."""
    trains, predicted = evaluator(machine, topology, recipe, captured=True), measure(topology, recipe).memory
    for factor in FACTORS:
        trains.release()
        machine.limit(machine.reserved() + int(factor * predicted))
        try:
            trains.evaluate(topology, seed=0)
        except OutOfMemory:
            continue
        finally:
            machine.limit(None)
        return factor
    return None


class Scratch(TorchDispatchMode):
    """The bytes that each op takes and gives back before it returns, the most for each op."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most: dict[str, int] = defaultdict(int)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        torch.cuda.reset_peak_memory_stats()
        result = func(*args, **(kwargs or {}))
        beyond = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
        name = func.overloadpacket.__name__
        self.most[name] = max(self.most[name], beyond)
        return result


def scratch(machine: Machine, topology: Topology, batch: int, bf16: bool) -> str:
    """Return the ops of a step that need most scratch memory, with its MiB."""
    if not machine.card:
        return ""
    network = build(topology).to(machine.device).to(memory_format=torch.channels_last)
    inputs = sample_inputs(topology, batch).to(machine.device)
    inputs = inputs.to(memory_format=layout_of(inputs))
    for _ in range(2):  # the first takes the libraries' own workspaces, which stay
        with Scratch() as ops, torch.autocast("cuda", torch.bfloat16, enabled=bf16, cache_enabled=False):
            network(inputs).float().square().mean().backward()
    longest = sorted(ops.most.items(), key=lambda item: -item[1])[:6]
    return "; ".join(f"{name} {size / MIB:.1f}" for name, size in longest)


def left_behind(machine: Machine, candidates: int) -> Row:
    """Train so many candidates in this process, every third of them stopped early; return what stays on the card."""
    recipe = bare.recipe(epochs=2, batch_size=8 if machine.tiny else 128)
    trains = evaluator(machine, topologies.drawn_chain(0, 8), recipe, captured=True)
    sizes = []
    for number in range(candidates):
        epochs = trains.start(topologies.drawn_chain(number, 8), seed=number)
        for _ in range(1 if number % 3 == 0 else 2):
            next(epochs)
        del epochs  # the training stops where it is
        trains.release()
        sizes.append((machine.allocated() / MIB, machine.reserved() / MIB))
    (first, reserved), (last, at_last) = sizes[min(len(sizes) - 1, 5)], sizes[-1]
    left = {"left, MiB": round(last - first, 2), "more reserved, MiB": round(at_last - reserved, 1)}
    return {"network": "drawn, one after the other", "trained": candidates} | left
