"""Deeper plain networks train worse, and residual ones do not: the degradation problem, on real digits.

Claim       With more layers, a plain network's *training* error rises, so that it is no overfitting; a bypass around
            every two layers cures it.
Ancestry    He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition" (arXiv:1512.03385), figures 1
            and 6: plain-20 and -56, resnet-20 and -56 on CIFAR-10.
Conditions  The paper's CIFAR networks (6n + 2 layers, shortcuts of option A) with the 8×8 digits of scikit-learn; SGD,
            batch 128, momentum 0.9 and weight decay 1e-4 as there; no augmentation, and one cycle of 10 epochs with
            half the paper's learning rate, which 80 steps are too few for. Error of the trained network on the
            training split, in evaluation mode; mean ± standard deviation over the seeds. What diverges counts as
            guessing: 90 %.

    python -m benchmarks.degradation [--depths 8 20 56] [--seeds 3] [--epochs 10] [--processes 2]
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

from nas import tasks
from nas.errors import Diverged
from nas.tasks.recipe import Recipe
from nas.topology import Topology, references
from nas.training.evaluate import Evaluator
from nas.training.loop import score

KINDS = ("plain", "residual")
GUESSING = 0.9


def topology(kind: str, depth: int) -> Topology:
    """The paper's network of `depth` layers, with shortcuts (residual) or without (plain)."""
    if kind == "plain":
        return references.plain(depth, input=(1, 8, 8), outputs=10)
    return references.resnet(depth, cifar=True, input=(1, 8, 8), outputs=10)


@functools.cache
def evaluator(epochs: int) -> Evaluator:
    """One a process: torch is imported and the data loaded once."""
    recipe = Recipe(epochs=epochs, batch_size=128, lr=0.05, momentum=0.9, weight_decay=1e-4, label_smoothing=0.0)
    return Evaluator(tasks.get("digits"), recipe)


def training_error(kind: str, depth: int, seed: int, epochs: int) -> float:
    """Share of the training digits that the trained network gets wrong."""
    trainer = evaluator(epochs)
    try:
        network = trainer.evaluate(topology(kind, depth), seed=seed).network
    except Diverged:
        return GUESSING
    assert network is not None
    return 1 - score(network, trainer.data, trainer.task, trainer.recipe)["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[8, 20, 56], help="layers, 6n + 2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    options = parser.parse_args()
    started = time.perf_counter()
    cases = list(itertools.product(options.depths, KINDS, range(options.seeds)))
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        jobs = {case: pool.submit(training_error, case[1], case[0], case[2], options.epochs) for case in cases}
        print(f"training error, % (mean ± sd over {options.seeds} seeds, {options.epochs} epochs)\n")
        print("layers  " + "".join(f"{kind:>16}" for kind in KINDS), flush=True)
        for depth in options.depths:
            row = ([jobs[depth, kind, seed].result() for seed in range(options.seeds)] for kind in KINDS)
            print(f"{depth:6}  " + "".join(f"{_spread(errors):>16}" for errors in row), flush=True)
    print(f"\n{len(cases)} trainings in {time.perf_counter() - started:.0f} s")


def _spread(errors: list[float]) -> str:
    deviation = statistics.stdev(errors) if len(errors) > 1 else 0.0
    return f"{100 * statistics.mean(errors):.1f} ± {100 * deviation:.1f}"


if __name__ == "__main__":
    main()
