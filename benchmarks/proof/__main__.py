"""Does a search find something better than what is published?

Claim       On a question where topology matters, the network that a search recommends is better on the test split than
            every baseline of at most as many parameters.
Conditions  A question is a space in this folder, with a limit of parameters and accuracy (or bits per byte) as its only
            objective. The search trains as many candidates as `--trials` says, repeats included. Then these networks
            are trained anew from `--seeds` seeds, the same for all, which no search has seen: the recommended one, the
            two behind it, its own chain with every skip `add` and with none, the baselines of the space at the largest
            size that the limit allows, the best of as many uniformly drawn topologies as the search trained, and the
            best of as many uniformly drawn chains with `add` around every block (ResNet's depths and widths at random).
            By the recipe of the search, by one of three times as many epochs, and by that of the search with the widths
            of each network multiplied until it has as many parameters as the recommended one.
Figures     metric on the test split, mean ± half of the 95 % interval of Student's t; ahead: the mean paired difference
            by which the recommended network is better, with its interval.

What was cut off goes on with the same command. The networks and their trainings are kept in `--records`, and the tables
are made of these: with another folder everything is measured anew.

    python -m benchmarks.proof QUESTION … [--trials 200] [--seeds 5] [--processes 2] [--root DIR] [--records DIR]
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from benchmarks.proof.contestants import Contestant, contestants, resized
from benchmarks.proof.trainings import Training, results
from nas.cost import measure
from nas.errors import TaskError
from nas.space import SearchSpace
from nas.units import metric as shown

HERE = Path(__file__).parent
FIRST_SEED = 1000  # no search counts its seeds so far
LONGER = 3  # times the epochs of the search

Values = Mapping[str, Sequence[float]]  # key of a network → its figure for each seed


def main() -> None:
    """Print the tables of every question."""
    known = sorted(path.stem for path in HERE.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", default=known, choices=known, metavar="QUESTION", help=", ".join(known))
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="of one thread each, after the searches")
    parser.add_argument("--root", type=Path, default=Path("runs/proof"), help="of the searches")
    parser.add_argument("--records", type=Path, default=HERE / "records", help="of the networks and their trainings")
    options = parser.parse_args()
    for question in options.questions:
        path = HERE / f"{question}.yaml"
        space = SearchSpace.load(path)
        try:
            space.task.load()
        except TaskError as error:
            print(f"{question}: left out: {error}", file=sys.stderr)
            continue
        answer(question, path, space, options)


def answer(question: str, path: Path, space: SearchSpace, options: argparse.Namespace) -> None:
    """Search, train anew, and print the three tables of a question."""
    records, console = options.records / question, Console(width=max(130, Console().width))
    began = time.perf_counter()
    found = contestants(space, options.root / question, records, options.trials)
    recipe = space.recipe
    size = measure(found[0].topology, recipe).params
    longer = recipe.model_copy(update={"epochs": LONGER * recipe.epochs})
    equal = [Contestant(one.name, resized(one.topology, size, recipe), one.searched) for one in found]
    parts = {
        f"{question}: {recipe.epochs} epochs, as in the search": (found, recipe),
        f"{question}: {longer.epochs} epochs": (found, longer),
        f"{question}: {recipe.epochs} epochs, widths for at most {size:,} parameters": (equal, recipe),
    }
    for title, (networks, how) in parts.items():
        seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
        trainings = [Training(path, how, one.topology, seed) for seed, one in itertools.product(seeds, networks)]
        ended = results(trainings, records / "trainings.jsonl", options.processes)
        values: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
        for training, result in track(
            ended, title, len(trainings), console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        ):
            values[training.topology.key][training.seed] = result
        console.print(table(title, networks, values, list(seeds), space))
    console.print(f"{question}: {(time.perf_counter() - began) / 60:.0f} minutes of this session\n")


def table(
    title: str,
    networks: Sequence[Contestant],
    values: Mapping[str, Mapping[int, Mapping[str, float]]],
    seeds: Sequence[int],
    space: SearchSpace,
) -> Table:
    """Return the table of one way of training."""
    columns = ("network", "parameters", "validation, searched", "validation", f"test {space.task.metric}", "ahead")
    made = Table(*columns, title=title)
    sign = 1 if space.task.direction == "maximize" else -1
    first = _figures(values[networks[0].topology.key], seeds, "test")
    for place, one in enumerate(networks):
        of_one = values[one.topology.key]
        test = _figures(of_one, seeds, "test")
        made.add_row(
            one.name,
            f"{measure(one.topology, space.recipe).params:,}",
            "–" if one.searched is None else shown(one.searched),
            _with_interval(_figures(of_one, seeds, "validation")),
            _with_interval(test),
            "" if place == 0 else _with_interval(sign * (first - test), signed=True),
        )
    return made


def _figures(results: Mapping[int, Mapping[str, float]], seeds: Sequence[int], split: str) -> np.ndarray:
    """Return the metric for each seed; NaN where the training diverged."""
    return np.array([math.nan if (value := results[seed][split]) is None else value for seed in seeds], float)


def _with_interval(figures: np.ndarray, *, signed: bool = False) -> str:
    """Return the mean and half of its 95 % interval of Student's t."""
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return "diverged"
    mean = f"{figures.mean():+.4f}" if signed else f"{figures.mean():.4f}"
    if len(figures) < 2:
        return mean
    half = stats.t.ppf(0.975, len(figures) - 1) * figures.std(ddof=1) / math.sqrt(len(figures))
    return f"{mean} ± {half:.4f}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
