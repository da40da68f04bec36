"""A candidate trains faster through the engine than through the loops that people write, to the same accuracy.

Claim       From topology to metrics, in images a second, with the recipe's `precision: auto`: on a CPU that multiplies
            bf16 at least 1.3 times as fast as a plain PyTorch loop with a DataLoader, and 1.5 times as fast as
            Lightning, both in float32 as they come, to an accuracy that is the same within one standard deviation; on
            a GPU 5 times the DataLoader loop, and twice the same loop on resident data.
Conditions  CPU: ResNet-20 on the 8×8 digits of scikit-learn, batch 128. GPU: ResNet-20 on noise of 3×32×32, batch 512.
            The same network from the same initial weights, the same data, recipe and number of steps; the validation
            split is scored after every epoch on all sides. Everybody has a process and a thread of his own, as a slot
            of a search has, and trains once with each seed, in turns; a ratio is the median of the paired ratios, so
            that a busy machine slows all alike; the first turn warms up and does not count. A training's time begins
            with the building of the network and ends with its last score. `nas` has Evaluator's settings,
            deterministic algorithms included; the others have torch's. Lightning has its logger and its checkpoints,
            as its documentation shows, but no progress bar.
Ancestry    The tutorials of PyTorch and Lightning that benchmarks/loops.py names.

    python -m benchmarks.engine [--seeds 5] [--epochs 20] [--threads 1] [--device cpu]
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from benchmarks import bare
from benchmarks.loops import Case, Train, lightning, plain, resident
from nas.tasks.splits import Split, Splits
from nas.topology import Topology, references
from nas.training.evaluate import Evaluator

NOISE = 10_240  # samples
Result = tuple[float, float]  # seconds, accuracy


def engine(case: Case, precision: str = "float32") -> Train:
    """nas: the data lies on the device, over all candidates."""
    recipe = bare.recipe(**vars(case.recipe) | {"precision": precision})
    evaluator = Evaluator(case.task, recipe, str(case.device), case.threads)
    return lambda topology, seed: evaluator.evaluate(topology, seed=seed).metrics["accuracy"]


def digits() -> tuple[Split, Split]:
    """1,085 training digits and 357 to score on."""
    from nas.tasks.families.digits import load

    splits = load()
    assert isinstance(splits.train, Split) and isinstance(splits.validation, Split)
    return splits.train, splits.validation


def noise() -> tuple[Split, Split]:
    """Images that show nothing, of the size of CIFAR's; one in ten more is for scoring."""
    rng = np.random.default_rng(0)

    def split(samples: int) -> Split:
        return Split(rng.standard_normal((samples, 3, 32, 32), np.float32), rng.integers(0, 10, samples))

    return split(NOISE), split(NOISE // 10)


DATA: dict[str, tuple[Callable[[], tuple[Split, Split]], int]] = {"digits": (digits, 128), "noise": (noise, 512)}


def case(data: str, device: str, epochs: int, threads: int) -> Case:
    """What is learnt, how and where."""
    load, batch = DATA[data]
    train, validation = load()
    shape = train.inputs.shape[1:]
    task = bare.classification(data, shape, 10, lambda: Splits(train, validation, validation))
    recipe = bare.recipe(epochs=epochs, batch_size=batch)
    torch.set_num_threads(threads)
    return Case(task, train, validation, recipe, torch.device(device), threads)


def resnet20(case: Case) -> Topology:
    channels, height, width = case.task.input
    return references.resnet(20, cifar=True, input=(channels, height, width), outputs=case.task.outputs)


class Side:
    """A process of its own that trains when it is told to: nobody trains with the settings of another."""

    def __init__(self, *what: Any) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, *what), daemon=True)
        process.start()
        theirs.close()
        self.installed: bool = self._pipe.recv()

    def train(self, topology: Topology, seed: int) -> Result:
        self._pipe.send((topology, seed))
        result: Result = self._pipe.recv()
        return result


def serve(pipe: Connection, name: str, *what: Any) -> None:
    """Says whether it can train; then (seconds, accuracy) for every topology and seed that come."""
    try:
        train = LOOPS[name](case(*what))
    except ImportError:
        return pipe.send(False)
    pipe.send(True)
    with contextlib.suppress(EOFError):  # the table is printed
        while True:
            topology, seed = pipe.recv()
            began = time.perf_counter()
            accuracy = train(topology, seed)  # a number: the device has come to its end
            pipe.send((time.perf_counter() - began, accuracy))


def measure(sides: dict[str, Side], topology: Topology, seeds: int) -> dict[str, list[Result]]:
    """(seconds, accuracy) of every side and seed; who begins changes from seed to seed."""
    names = [name for name, side in sides.items() if side.installed]
    results: dict[str, list[Result]] = {name: [] for name in names}
    for seed in range(seeds + 1):
        turn = seed % len(names)
        for name in names[turn:] + names[:turn]:
            results[name].append(sides[name].train(topology, seed))
    return {name: result[1:] for name, result in results.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--data", choices=DATA, help="digits on a CPU, noise on a GPU")
    options = parser.parse_args()
    data = options.data or ("digits" if options.device == "cpu" else "noise")
    what = data, options.device, options.epochs, options.threads
    trained = case(*what)
    results = measure({name: Side(name, *what) for name in SIDES}, resnet20(trained), options.seeds)
    place = torch.cuda.get_device_name() if options.device != "cpu" else f"CPU, {options.threads} threads"
    print(f"{data}, {trained.steps} steps; {place}; torch {torch.__version__}\n")
    print("\n".join(table(trained, results)))


def table(trained: Case, results: dict[str, list[Result]]) -> Iterator[str]:
    """Its rows."""
    yield "| trained by | images/s | `nas` is so many times as fast | with bf16 | accuracy, % |"
    yield "|---|---:|---:|---:|---:|"
    for name in SIDES:
        if name not in results:
            yield f"| {name} | not installed | | | |"
            continue
        seconds, accuracies = zip(*results[name], strict=True)
        speed = trained.steps * trained.recipe.batch_size / statistics.median(seconds)
        ratios = " | ".join(f"{ratio(results[name], results[ours]):.2f}" for ours in (OURS, BF16))
        yield f"| {name} | {speed:,.0f} | {ratios} | {spread(accuracies)} |"


def ratio(theirs: list[Result], ours: list[Result]) -> float:
    return statistics.median(other / mine for (other, _), (mine, _) in zip(theirs, ours, strict=True))


def spread(shares: Iterable[float]) -> str:
    percent = [100 * share for share in shares]
    return f"{statistics.mean(percent):.2f} ± {statistics.pstdev(percent):.2f}"


OURS, BF16, PLAIN, RESIDENT = "`nas`", "`nas`, bf16", "a loop with a DataLoader", "the same, resident data"
LIGHTNING, COMPILED = "Lightning", "torch.compile"
LOOPS: dict[str, Callable[[Case], Train]] = {
    OURS: engine,
    BF16: functools.partial(engine, precision="bf16"),
    PLAIN: plain,
    RESIDENT: resident,
    LIGHTNING: lightning,
    COMPILED: functools.partial(resident, compile=True),
}
SIDES = (OURS, BF16, PLAIN, RESIDENT, LIGHTNING)  # a compiled loop compiles again for every topology: benchmarks/card

if __name__ == "__main__":
    main()
