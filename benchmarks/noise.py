"""Does a search recommend a network that is good, or one that was lucky?

Claim       With `repeats: auto` what a search recommends is nearly the best of what it saw, also under noise.
Conditions  NAS-Bench-Macro (Su et al. 2021): 6,561 networks, each trained three times on CIFAR-10. A search of its
            space (search_spaces/nas_bench_macro.yaml, accuracy alone, no baselines) has 100 evaluations, repeats
            included, and sees one of the three accuracies for each; in a second row its distance from their mean is
            tripled, in a third it is 0. A network that is evaluated again gets another one of the three.
Figures     regret: points by which the mean accuracy of a network is below the best of the table, mean ± standard error
            over the runs: of the recommended network, of the one with the highest single accuracy, and of the best that
            was evaluated at all; repeats: evaluations of known networks.

    python -m benchmarks.noise --table PATH [--runs 30] [--trials 100]
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import math
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.samplers import TABLE
from nas.searching.outcome import TrialOutcome
from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study import Run
from nas.topology import Topology, references

NOISES = {"as in the table": 1.0, "tripled": 3.0, "none": 0.0}
REPEATS = ("auto", 1)


class Trainings:
    """The three accuracies of every network, by canonical key, and what a training shows of them."""

    def __init__(self, path: Path) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        codes = {references.get(f"nas_bench_macro_{code}").key: code for code in data}
        self.accuracies = {key: data[code]["test_acc"] for key, code in codes.items()}
        self.params = {key: int(data[code]["params"]) for key, code in codes.items()}
        self.mean = {key: statistics.fmean(values) for key, values in self.accuracies.items()}
        self.best = max(self.mean.values())

    def price(self, topology: Topology) -> dict[str, int]:
        """Return the cost of a network, of which no limit depends here."""
        return {"params": self.params[topology.key], "flops": 0, "memory": 0}

    def shown(self, rng: random.Random, noise: float) -> _Made:
        """Return key → the accuracies that one training after the other shows."""

        def of(key: str) -> Iterator[float]:
            order = rng.sample(self.accuracies[key], 3)
            while True:
                yield from (self.mean[key] + noise * (accuracy - self.mean[key]) for accuracy in order)

        return _Made(of)


class _Made(defaultdict[str, Iterator[float]]):
    """Accuracies by key, in an order that is drawn when a network is first trained."""

    def __init__(self, of: Callable[[str], Iterator[float]]) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, key: str) -> Iterator[float]:
        self[key] = made = self._of(key)
        return made


def regrets(trainings: Trainings, noise: float, repeats: object, trials: int, seed: int) -> tuple[float, ...]:
    """Return the regrets of the recommended network, of the luckiest and of the best that was seen; the repeats."""
    data = SearchSpace.load("nas_bench_macro").to_dict()
    data["search"] |= {"objectives": ["accuracy"], "baselines": [], "seed": seed, "repeats": repeats}
    space = SearchSpace.from_dict(data)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    shown, seen = trainings.shown(random.Random(seed), noise), defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory(prefix="noise-") as folder:
        run = Run.create(space, "noise", Path(folder))
        session = Session(run, trainings.price, trials)
        while (candidate := session.ask()) is not None:
            accuracy = next(shown[candidate.topology.key])
            seen[candidate.topology.key].append(accuracy)
            session.tell(candidate, TrialOutcome([{"epoch": 1, "accuracy": accuracy}], full_budget=True))
        session.close()
        assert run.winner is not None
        recommended = run.topology(run.winner).key
    lucky = max(seen, key=lambda key: max(seen[key]))
    best = max(seen, key=lambda key: trainings.mean[key])
    again = sum(len(values) - 1 for values in seen.values())
    return (*(trainings.best - trainings.mean[key] for key in (recommended, lucky, best)), again)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE, help="JSON: code → {test_acc, params}")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    if not options.table.is_file():
        sys.exit(f"there is no table {options.table}: give its path with --table")
    trainings, err = Trainings(options.table), Console(stderr=True)
    table = Table("noise", "repeats", "recommended", "luckiest", "best seen", "repeats", title="regret, points")
    processes = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
    for name, noise in NOISES.items():
        for repeats in REPEATS:
            of_seed = functools.partial(regrets, trainings, noise, repeats, options.trials)
            runs = processes.map(of_seed, range(options.runs))
            found = list(track(runs, f"{name}, {repeats}", options.runs, transient=True, console=err))
            *columns, again = (list(column) for column in zip(*found, strict=True))
            cells = [f"{statistics.fmean(each):.3f} ± {_error(each):.3f}" for each in columns]
            table.add_row(name, str(repeats), *cells, f"{statistics.fmean(again):.0f}")
    Console(width=max(100, Console().width)).print(table)


def _error(values: list[float]) -> float:
    """Return the standard error of the mean."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


if __name__ == "__main__":
    main()
