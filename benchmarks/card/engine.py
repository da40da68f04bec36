"""The training loop on a card, against the loops that people write: ResNet-20 and chains with skips drawn at random."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks import engine
from benchmarks.card import topologies
from benchmarks.card.machine import Goal, Machine, Row
from nas.topology import Topology

TITLE = "The training loop against the loops that people write, images/s"
SECONDS = 240
SIDES = (engine.OURS, engine.BF16, engine.PLAIN, engine.RESIDENT)
EPOCHS, TURNS = 10, 3


def rows(machine: Machine) -> Iterator[Row]:
    """Yield a row for each topology; then how a compiled loop does, with what compiling takes, as a candidate is."""
    what = ("noise", "cuda", 1 if machine.tiny else EPOCHS, 1) if machine.card else ("digits", "cpu", 1, 1)
    case = engine.case(*what)
    trained: dict[str, Topology] = {"resnet20": engine.resnet20(case)}
    size, channels = case.task.input[1], case.task.input[0]
    for seed in range(1 if machine.tiny else 5):
        trained[f"drawn {seed}"] = topologies.drawn_chain(seed, size, channels=channels)
    sides = {name: engine.Side(name, *what) for name in (SIDES if machine.card else SIDES[::3])}
    images = case.steps * case.recipe.batch_size
    for name, topology in trained.items():
        turns = 1 if machine.tiny or name != "resnet20" else TURNS
        results = engine.measure(sides, topology, turns)
        row: Row = {"topology": name, "epochs": case.recipe.epochs}
        row |= {side: round(images / median(seconds for seconds, _ in taken)) for side, taken in results.items()}
        for theirs in (engine.PLAIN, engine.RESIDENT):
            if engine.BF16 in results:
                row[f"times {theirs}"] = round(engine.ratio(results[theirs], results[engine.BF16]), 2)
        yield row
    for name in list(trained)[: machine.card * 2]:
        seconds, _ = engine.Side(engine.COMPILED, *what).train(trained[name], 0)
        yield {"topology": name, "epochs": case.recipe.epochs, engine.COMPILED: round(images / seconds)}


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield the goals of the engine on ResNet-20, with `precision: auto`, which is bf16."""
    for theirs, times in ((engine.PLAIN, 5), (engine.RESIDENT, 2)):
        found = rows[0].get(f"times {theirs}")
        text = f"ResNet-20: at least {times} times {theirs}"
        yield Goal(f"{text} ({found})" if found else text, None if found is None else found >= times)
