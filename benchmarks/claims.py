"""What the literature says of skips, measured with this code on data that comes with it.

Claims      a  plain networks degrade with depth, residual ones do not (He et al. 2015; see benchmarks/degradation.py)
            b  additive skips train a deep network that a plain chain cannot; concatenation reaches the same accuracy
               with fewer parameters (Huang et al. 2017); gates train it too, at the price of parameters
               (Srivastava et al. 2015)
            c  a U-Net's long skips raise the mean IoU over the same network without them (Ronneberger et al. 2015)
            d  a Transformer without residual connections trains worse, and the gap grows with depth
               (Vaswani et al. 2017; Dong et al. 2021, arXiv:2103.03404)
            e  a deep fully-connected network trains with highway gates and not without (Srivastava et al. 2015)
Conditions  Each network is trained from every seed by one recipe for its claim and measured once, at the end, on the
            test split, which chose nothing: accuracy (a: error on the training split), mean IoU, bits per byte. What
            diverges counts as guessing. Mean ± standard deviation over the seeds. A claim holds if the better mean is
            better by more than twice the standard error of the difference; else the verdict says what was seen.

    python -m benchmarks.claims [--only a b c d e] [--seeds 3] [--processes 2]
"""

from __future__ import annotations

import argparse
import functools
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from benchmarks import degradation
from nas import tasks
from nas.cost import measure
from nas.errors import Diverged
from nas.tasks.recipe import Recipe
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Skip, Stem
from nas.training.evaluate import Evaluator

Values = Mapping[str, list[float]]  # network → one figure a seed


@dataclass(frozen=True)
class Claim:
    """Networks that are trained alike, and what must hold of their figures.

    networks  name → topology
    guess     the figure of a network that diverged
    holds     (sentence, is it so?) for each part of the claim
    """

    task: str
    recipe: Recipe
    networks: Mapping[str, Topology]
    guess: float
    holds: Callable[[Values], Mapping[str, bool]]


def with_skip(topology: Topology, skip: Skip | None, op: str = "") -> Topology:
    """The same chain with this skip around every block that has one (of that op)."""
    blocks = (replace(b, skip=skip) if b.skip and op in ("", b.op) else b for b in topology.blocks)
    return replace(topology, blocks=tuple(blocks))


def transformer(pairs: int, skip: Skip | None) -> Topology:
    """Pairs of attention and feed-forward over 64 bytes, 48 wide, pre-norm."""
    attention = Block("attention", 48, skip=skip, options={"causal": True})
    feed = Block("feed_forward", 48, skip=skip, options={"expansion": 2})
    stem = Stem("token", 48, {"vocabulary": 256})
    return Topology((64,), stem, (attention, feed) * pairs, Head("language_model"), 256)


def greater(values: Values, more: str, less: str) -> bool:
    """Whether the mean of `more` is greater by more than two standard errors of the difference."""
    a, b = values[more], values[less]
    error = math.sqrt(sum(statistics.variance(column) / len(column) for column in (a, b) if len(column) > 1))
    return statistics.mean(a) - statistics.mean(b) > 2 * error


def gap(values: Values, worse: str, better: str) -> float:
    return statistics.mean(values[worse]) - statistics.mean(values[better])


DIGITS = {"input": (1, 8, 8), "outputs": 10}
SCENES = {"input": (1, 48, 48), "outputs": 11}
ADD = Skip("add")
DEPTHS = {"a": (8, 20, 56), "d": (1, 3, 6), "e": (5, 10, 20, 50)}


def deep() -> Claim:
    residual = references.resnet(56, cifar=True, **DIGITS)  # type: ignore[arg-type]
    networks = {
        "none": with_skip(residual, None),
        "add": residual,
        "gate": with_skip(residual, Skip("gate", shortcut="pad")),
        "concat": references.densenet_bc(58, **DIGITS),  # type: ignore[arg-type]
    }
    params = {name: measure(topology).params for name, topology in networks.items()}

    def holds(values: Values) -> dict[str, bool]:
        return {
            "add trains what none cannot": greater(values, "add", "none"),
            "gate trains it too": greater(values, "gate", "none"),
            "gate costs parameters": params["gate"] > params["add"],
            "concat is as good as add": not greater(values, "add", "concat"),
            "concat with fewer parameters": params["concat"] < params["add"],
        }

    recipe = Recipe(epochs=10, batch_size=128, lr=0.05, weight_decay=1e-4, label_smoothing=0.0)
    return Claim("digits", recipe, networks, 0.1, holds)


def long_skips() -> Claim:
    unet = references.unet(8, 3, **SCENES)  # type: ignore[arg-type]
    blocks = (replace(b, skip=ADD) if b.op == "double_conv" else b for b in unet.blocks)
    residual = replace(unet, blocks=tuple(blocks))
    networks = {
        "no long skips": with_skip(unet, None, "upconv"),
        "U-Net": unet,
        "residual inside, no long skips": with_skip(residual, None, "upconv"),
        "residual inside, U-Net": residual,
    }

    def holds(values: Values) -> dict[str, bool]:
        return {
            "long skips raise the mean IoU": greater(values, "U-Net", "no long skips"),
            "also of a net that is residual inside": greater(
                values, "residual inside, U-Net", "residual inside, no long skips"
            ),
        }

    return Claim(
        "digit_scenes", tasks.get("digit_scenes").recipe.model_copy(update={"epochs": 20}), networks, 0.0, holds
    )


def transformers() -> Claim:
    depths = DEPTHS["d"]
    networks = {
        f"{pairs} pairs, {name}": transformer(pairs, skip)
        for pairs in depths
        for name, skip in (("none", None), ("add", ADD))
    }

    def holds(values: Values) -> dict[str, bool]:
        gaps = [gap(values, f"{pairs} pairs, none", f"{pairs} pairs, add") for pairs in depths]
        worse = (greater(values, f"{pairs} pairs, none", f"{pairs} pairs, add") for pairs in depths)
        return {"without add it is worse at every depth": all(worse), "the gap grows with depth": gaps == sorted(gaps)}

    return Claim("pydoc", tasks.get("pydoc").recipe.model_copy(update={"epochs": 1}), networks, 8.0, holds)


def fully_connected() -> Claim:
    depths = DEPTHS["e"]
    highways = {depth: references.highway(depth, 50, **DIGITS) for depth in depths}  # type: ignore[arg-type]
    networks = {
        f"{depth} layers, {name}": topology
        for depth, gated in highways.items()
        for name, topology in (("none", with_skip(gated, None)), ("gate", gated))
    }

    def holds(values: Values) -> dict[str, bool]:
        return {
            f"{depth} layers train with gates and not without": greater(
                values, f"{depth} layers, gate", f"{depth} layers, none"
            )
            and statistics.mean(values[f"{depth} layers, none"]) < 0.5
            for depth in depths[1:]
        }

    recipe = Recipe(epochs=20, batch_size=64, lr=0.05, weight_decay=1e-4, label_smoothing=0.0)
    return Claim("digits", recipe, networks, 0.1, holds)


CLAIMS = {"b": deep, "c": long_skips, "d": transformers, "e": fully_connected}


@functools.cache
def _evaluator(letter: str) -> Evaluator:
    """One a process and claim: the data is loaded once."""
    claim = CLAIMS[letter]()
    return Evaluator(tasks.get(claim.task), claim.recipe)


def figure(letter: str, network: str, seed: int) -> float:
    """The metric of one training on the test split."""
    claim, trainer = CLAIMS[letter](), _evaluator(letter)
    try:
        trainer.evaluate(claim.networks[network], seed=seed)
    except Diverged:
        return claim.guess
    return trainer.test()[trainer.task.metric]


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def degrades(pool: ProcessPoolExecutor, seeds: int) -> None:
    """Claim a, by the training error of benchmarks.degradation."""
    jobs = {
        f"{depth} layers, {kind}": [
            pool.submit(degradation.training_error, kind, depth, seed, 10) for seed in range(seeds)
        ]
        for depth in DEPTHS["a"]
        for kind in degradation.KINDS
    }
    values = {name: [job.result() for job in own] for name, own in jobs.items()}
    print("a  error on the training split\n")
    for name, column in values.items():
        print(f"   {name:<32}{spread(column):>16}", flush=True)
    shallow, deepest = (f"{DEPTHS['a'][place]} layers" for place in (0, -1))
    _verdicts(
        {
            "plain nets degrade": greater(values, f"{deepest}, plain", f"{shallow}, plain"),
            "residual ones do not": not greater(values, f"{deepest}, residual", f"{shallow}, residual"),
        }
    )


def compares(letter: str, pool: ProcessPoolExecutor, seeds: int) -> None:
    """One of CLAIMS."""
    claim = CLAIMS[letter]()
    jobs = {name: [pool.submit(figure, letter, name, seed) for seed in range(seeds)] for name in claim.networks}
    print(f"{letter}  {tasks.get(claim.task).metric} of {claim.task}, {claim.recipe.epochs} epochs\n")
    values: dict[str, list[float]] = {}
    for name, topology in claim.networks.items():
        values[name] = [job.result() for job in jobs[name]]
        print(f"   {name:<32}{spread(values[name]):>16}{measure(topology).params:>12,} params", flush=True)
    _verdicts(claim.holds(values))


def _verdicts(parts: Mapping[str, bool]) -> None:
    print("\n   " + "; ".join(f"{part}: {'yes' if so else 'NO'}" for part, so in parts.items()) + "\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["a", *CLAIMS], default=["a", *CLAIMS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    options = parser.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        for letter in options.only:
            if letter == "a":
                degrades(pool, options.seeds)
            else:
                compares(letter, pool, options.seeds)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
