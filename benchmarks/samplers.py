"""How many evaluations does it take to find the best of a table of trained networks?

Claim       TopologySampler finds it in fewer evaluations than the samplers of Optuna, evolution and local search.
Conditions  NAS-Bench-Macro (Su et al. 2021): 6,561 networks of eight layers, each one of three blocks, with the mean
            accuracy of three trainings on CIFAR-10. A sampler sees eight categorical parameters and nothing else. An
            evaluation reads the table; a network that is evaluated again counts again. A run has 200 evaluations, and
            every sampler has the seeds 0, 1, …
Figures     regret: points of accuracy below the best of the table after so many evaluations, mean over the seeds;
            found: share of seeds that found it; evaluations to it: their median; hypervolume of accuracy (up) and
            parameters (down) over that of the true front, both scaled to the table, reference at its worst values.
Ancestry    regularised evolution: Real et al. 2019 (population 50, sample 10; deduplicated: a mutant is drawn again
            until it is new); local search: White et al. 2021 (restarted from a random network in a local optimum).

    python -m benchmarks.samplers --table PATH [--seeds 30] [--only topology,tpe]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import random
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.progress import track
from rich.table import Table as RichTable

from nas.sampling.sampler import TopologySampler

TABLE = Path("../shared/data/nas-bench-macro_cifar10.json")
MARKS = (20, 50, 100, 200)
N = MARKS[-1]
Code = tuple[str, ...]
Evaluate = Callable[[Code], float]
Strategy = Callable[[Evaluate, int], None]  # (evaluate, seed): evaluates until it is stopped


class Bench:
    """A table of networks: a code (one letter for each decision) → accuracy in points, and number of parameters."""

    def __init__(self, path: Path) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        self.accuracy = {tuple(code): float(row["mean_acc"]) for code, row in data.items()}
        self.params = {tuple(code): float(row["params"]) for code, row in data.items()}
        self.choices = [sorted(set(letters)) for letters in zip(*self.accuracy, strict=True)]
        self.best = max(self.accuracy.values())

    def at_random(self, rng: random.Random) -> Code:
        """Return a code drawn uniformly."""
        return tuple(rng.choice(letters) for letters in self.choices)

    def neighbours(self, code: Code) -> list[Code]:
        """Return the codes that differ from `code` in one letter."""
        return [
            (*code[:place], letter, *code[place + 1 :])
            for place, letters in enumerate(self.choices)
            for letter in letters
            if letter != code[place]
        ]

    def hypervolume(self, codes: list[Code]) -> float:
        """Return the hypervolume of accuracy and parameters of the codes, as a share of that of the whole table."""
        return self._area(codes) / self._area(list(self.accuracy))

    def _area(self, codes: list[Code]) -> float:
        accuracies, sizes = self.accuracy.values(), self.params.values()
        low, most = min(accuracies), max(sizes)
        points = sorted(
            (
                (
                    (self.accuracy[code] - low) / (max(accuracies) - low),
                    (most - self.params[code]) / (most - min(sizes)),
                )
                for code in codes
            ),
            reverse=True,
        )
        area = reached = 0.0
        for accurate, small in points:
            area += accurate * max(0.0, small - reached)
            reached = max(reached, small)
        return area


# ------------------------------------------------------------------------------------------------------ strategies


def at_random(bench: Bench) -> Strategy:
    """Return random search without replacement."""

    def run(evaluate: Evaluate, seed: int) -> None:
        codes = list(bench.accuracy)
        random.Random(seed).shuffle(codes)
        for code in codes:
            evaluate(code)

    return run


def evolution(bench: Bench, deduplicated: bool) -> Strategy:
    """Return regularised evolution; `deduplicated` draws a mutant again until it is new."""

    def run(evaluate: Evaluate, seed: int) -> None:
        rng, seen = random.Random(seed), set[Code]()

        def fresh(make: Callable[[], Code]) -> Code:
            code = make()
            for _ in range(1000):
                if not deduplicated or code not in seen:
                    break
                code = make()
            seen.add(code)
            return code

        first = (fresh(lambda: bench.at_random(rng)) for _ in range(50))
        population = deque(((evaluate(code), code) for code in first), maxlen=50)
        while True:
            parent = max(rng.sample(population, 10))[1]
            child = fresh(lambda parent=parent: rng.choice(bench.neighbours(parent)))  # type: ignore[misc]
            population.append((evaluate(child), child))

    return run


def local_search(bench: Bench, first: bool) -> Strategy:
    """Return local search: it moves to a random better neighbour if `first`, otherwise to the best neighbour."""

    def run(evaluate: Evaluate, seed: int) -> None:
        rng, known = random.Random(seed), dict[Code, float]()

        def value(code: Code) -> float:
            if code not in known:
                known[code] = evaluate(code)
            return known[code]

        while len(known) < len(bench.accuracy):
            here, better = bench.at_random(rng), True
            while better:
                others = bench.neighbours(here)
                rng.shuffle(others)
                rising = (code for code in others if value(code) > value(here))
                found = next(rising, here) if first else max([here, *rising], key=value)
                here, better = found, found != here

    return run


def study(bench: Bench, make: Callable[[int], optuna.samplers.BaseSampler]) -> Strategy:
    """Return a study with the sampler of `make(seed)`, which evaluates one trial at a time."""

    def run(evaluate: Evaluate, seed: int) -> None:
        asked = optuna.create_study(direction="maximize", sampler=make(seed))
        while True:
            trial = asked.ask()
            asked.tell(trial, evaluate(_code(bench, trial)))

    return run


def in_flight(bench: Bench, make: Callable[[int], optuna.samplers.BaseSampler], slots: int) -> Strategy:
    """Return a study in which `slots` trials run at once: the oldest is finished when all slots are full."""

    def run(evaluate: Evaluate, seed: int) -> None:
        asked = optuna.create_study(direction="maximize", sampler=make(seed))
        flying: deque[tuple[optuna.Trial, float]] = deque()
        while True:
            trial = asked.ask()
            flying.append((trial, evaluate(_code(bench, trial))))
            if len(flying) == slots:
                asked.tell(*flying.popleft())

    return run


def _code(bench: Bench, trial: optuna.Trial) -> Code:
    return tuple(trial.suggest_categorical(f"layer{place}", letters) for place, letters in enumerate(bench.choices, 1))


SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "topology": lambda seed: TopologySampler(seed=seed),
    "optuna tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "optuna gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "optuna nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}
SLOW = {"optuna gp": 4}  # the most seeds of a sampler that takes minutes


def strategies(bench: Bench) -> dict[str, Strategy]:
    """Return every strategy that is compared, by the name of its row."""
    return {
        **{name: study(bench, make) for name, make in SAMPLERS.items()},
        "topology, 32 in flight": in_flight(bench, SAMPLERS["topology"], 32),
        "evolution": evolution(bench, deduplicated=False),
        "evolution, deduplicated": evolution(bench, deduplicated=True),
        "local search, first": local_search(bench, first=True),
        "local search, best": local_search(bench, first=False),
        "random": at_random(bench),
    }


# ---------------------------------------------------------------------------------------------------- measurements


class Enough(Exception):
    """Stops a strategy that has used all its evaluations."""


def codes_of(bench: Bench, strategy: Strategy, seed: int) -> list[Code]:
    """Return the codes that a strategy evaluates, in order."""
    codes: list[Code] = []

    def evaluate(code: Code) -> float:
        if len(codes) == N:
            raise Enough
        codes.append(code)
        return bench.accuracy[code]

    with contextlib.suppress(Enough):
        strategy(evaluate, seed)
    return codes


def one_objective(bench: Bench, name: str, strategy: Strategy, seeds: int) -> list[str]:
    """Return the row of a strategy: regret after each of MARKS, share found, evaluations to it, repeats, ms each."""
    regrets, needed, again, seconds = [], [], [], []
    for seed in track(range(seeds), name, transient=True, console=Console(stderr=True)):
        began = time.perf_counter()
        codes = codes_of(bench, strategy, seed)
        seconds.append((time.perf_counter() - began) / N)
        reached = list(itertools.accumulate((bench.accuracy[code] for code in codes), max))
        regrets.append([bench.best - reached[mark - 1] for mark in MARKS])
        needed.append(next((n for n, value in enumerate(reached, 1) if value == bench.best), math.inf))
        again.append(1 - len(set(codes)) / N)
    regret, half = np.mean(regrets, axis=0), float(np.median(needed))
    return [
        name,
        str(seeds),
        *(f"{value:.4f}" for value in regret),
        f"{np.mean(np.isfinite(needed)):.2f}",
        f"{half:g}" if math.isfinite(half) else "–",
        f"{np.mean(again):.2f}",
        f"{1000 * np.mean(seconds):.1f}",
    ]


def two_objectives(
    bench: Bench, name: str, make: Callable[[int], optuna.samplers.BaseSampler], seeds: int
) -> list[str]:
    """Return the row of a sampler with two objectives: hypervolume after each of MARKS, and milliseconds a trial."""
    volumes, seconds = [], []
    for seed in track(range(seeds), name, transient=True, console=Console(stderr=True)):
        asked = optuna.create_study(directions=["maximize", "minimize"], sampler=make(seed))
        began, codes = time.perf_counter(), []
        for _ in range(N):
            trial = asked.ask()
            codes.append(_code(bench, trial))
            asked.tell(trial, [bench.accuracy[codes[-1]], bench.params[codes[-1]]])
        seconds.append((time.perf_counter() - began) / N)
        volumes.append([bench.hypervolume(codes[:mark]) for mark in MARKS])
    mean = np.mean(volumes, axis=0)
    return [name, str(seeds), *(f"{value:.4f}" for value in mean), f"{1000 * np.mean(seconds):.1f}"]


def growth() -> Iterator[list[str]]:
    """Yield the milliseconds of a suggestion for each number of finished trials; ten decisions have five values."""
    for count in (200, 1_000, 10_000):
        yield [f"{count:,}", *(f"{_suggestion(count, objectives):.1f}" for objectives in (1, 2))]


def _suggestion(count: int, objectives: int) -> float:
    """Return the median milliseconds of 20 suggestions. One before them, which fits the model, is not counted."""
    rng = random.Random(0)
    choices = optuna.distributions.CategoricalDistribution(["a", "b", "c", "d", "e"])
    space: dict[str, optuna.distributions.BaseDistribution] = {f"x{place}": choices for place in range(10)}

    def values(params: dict[str, Any]) -> list[float]:
        levels = ["abcde".index(value) for value in params.values()]
        return [sum(levels) + rng.gauss(0, 1), levels[0] - levels[1] + rng.gauss(0, 1)][:objectives]

    asked = optuna.create_study(directions=["maximize"] * objectives, sampler=TopologySampler(seed=0))
    for _ in range(count):
        params = {name: rng.choice(choices.choices) for name in space}
        asked.add_trial(optuna.create_trial(params=params, distributions=space, values=values(params)))
    taken = []
    for _ in range(21):
        began = time.perf_counter()
        trial = asked.ask(space)
        taken.append(time.perf_counter() - began)
        asked.tell(trial, values(trial.params))
    return 1000 * float(np.median(taken[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE, help="JSON: code → {mean_acc, params}")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--only", default="", help="rows whose names begin with one of these, separated by commas")
    options = parser.parse_args()
    if not options.table.is_file():
        sys.exit(f"there is no table {options.table}: give its path with --table")
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    bench, wanted = Bench(options.table), tuple(options.only.split(","))
    console = Console(width=max(120, Console().width))

    table = RichTable(*["", "seeds", *(f"@{mark}" for mark in MARKS), "found", "evaluations to it", "again", "ms"])
    for name, strategy in strategies(bench).items():
        if name.startswith(wanted):
            table.add_row(*one_objective(bench, name, strategy, min(options.seeds, SLOW.get(name, options.seeds))))
    table.title = f"regret, points of accuracy below {bench.best:.3f}"
    console.print(table)

    table = RichTable(*["", "seeds", *(f"@{mark}" for mark in MARKS), "ms"], title="two objectives: hypervolume")
    for name, make in SAMPLERS.items():
        if name.startswith(wanted):
            table.add_row(*two_objectives(bench, name, make, min(options.seeds, SLOW.get(name, options.seeds))))
    console.print(table)

    table = RichTable("finished trials", "one objective", "two", title="milliseconds of a suggestion")
    for row in growth():
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
