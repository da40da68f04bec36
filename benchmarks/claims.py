"""What the literature says of skips, measured with this code on data that comes with it.

Claims      a  plain networks degrade with depth, residual ones do not (He et al. 2015; see benchmarks/degradation.py)
            b  additive skips train a deep network that a plain chain cannot; concatenation reaches the same accuracy
               with fewer parameters (Huang et al. 2017); gates train it too, at the price of parameters
               (Srivastava et al. 2015)
            c  a U-Net's long skips raise the mean IoU over the same network without them (Ronneberger et al. 2015)
            d  a Transformer without residual connections trains worse, and the gap grows with depth
               (Vaswani et al. 2017; Dong et al. 2021, arXiv:2103.03404)
            e  a deep fully-connected network trains with highway gates and not without (Srivastava et al. 2015)
            f  what newer skips add to a Transformer: a factor on each branch that starts at 0 (ReZero, SkipInit), one
               for each channel (LayerScale), a norm behind each branch (peri-norm), a learned mean of all earlier
               layers (DenseFormer), attention over them (attention residuals)
Conditions  Each network is trained from every seed by one recipe for its claim, long enough that the form with skips
            has converged, and measured once, at the end, on the test split, which chose nothing: accuracy (a: error on
            the training split), mean IoU, bits per byte. What diverges counts as guessing. Networks start by
            nas.network.initialisation, some a second time with torch's own convolutions (`init: torch`). A seed is the
            same for all networks: what is compared is the paired difference, with its 95 % interval of Student's t.

    python -m benchmarks.claims [--only a b c d e f] [--seeds 5] [--processes 2]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

from scipy import stats

from benchmarks import degradation
from nas import tasks
from nas.cost import measure
from nas.errors import Diverged
from nas.tasks.recipe import Recipe
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Scale, Skip, Stem
from nas.topology.transformers import averaged
from nas.training.evaluate import Evaluator

Values = Mapping[str, list[float]]  # network → one figure a seed


@dataclass(frozen=True)
class Comparison:
    """A part of a claim: the figures of `more` are greater than those of `less`, or less than `margin` below them.

    Several networks on a side are added up, seed by seed: a gap is greater than another one.
    """

    sentence: str
    more: tuple[str, ...]
    less: tuple[str, ...]
    margin: float = 0.0

    def verdict(self, values: Values) -> str:
        """Return the sentence with the paired difference, its interval and the verdict."""
        sides = [[sum(column) for column in zip(*(values[name] for name in side), strict=True)] for side in self.sides]
        mean, low, high = interval([more - less for more, less in zip(*sides, strict=True)])
        so = "yes" if low > -self.margin else "NO" if high < -self.margin else "not shown"
        return f"{self.sentence}: {so}, by {mean:+.3f} [{low:+.3f}, {high:+.3f}]"

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is more, and what is less."""
        return self.more, self.less


def interval(differences: list[float]) -> tuple[float, float, float]:
    """Return mean, lower and upper end of the 95 % interval of Student's t."""
    mean, count = statistics.mean(differences), len(differences)
    if count < 2:
        return mean, float("-inf"), float("inf")
    reach = float(stats.t.ppf(0.975, count - 1)) * statistics.stdev(differences) / count**0.5
    return mean, mean - reach, mean + reach


@dataclass(frozen=True)
class Claim:
    """Networks that are trained alike, and what must hold of their figures.

    networks  name → topology; a name that ends in TORCH starts with torch's own convolutions
    guess     the figure of a network that diverged
    parts     the parts of the claim
    """

    task: str
    recipe: Recipe
    networks: Mapping[str, Topology]
    guess: float
    parts: tuple[Comparison, ...]

    def recipe_of(self, network: str) -> Recipe:
        """Return the recipe of a network."""
        return self.recipe.model_copy(update={"init": "torch"}) if network.endswith(TORCH) else self.recipe


def with_skip(topology: Topology, skip: Skip | None, op: str = "") -> Topology:
    """The same chain with this skip around every block that has one (of that op)."""
    blocks = (replace(b, skips=(skip,) if skip else ()) if b.skips and op in ("", b.op) else b for b in topology.blocks)
    return replace(topology, blocks=tuple(blocks))


def transformer(pairs: int, skip: Skip | None) -> Topology:
    """Pairs of attention and feed-forward over 64 bytes, 48 wide, pre-norm."""
    return language_model(pair(skip) * pairs)


def pair(skip: Skip | None = None, norm: str = "pre", branch: Scale | None = None) -> tuple[Block, Block]:
    """Attention and feed-forward, 48 wide."""
    attention = Block("attention", 48, 1, skip, {"causal": True, "norm": norm}, branch)
    return attention, Block("feed_forward", 48, 1, skip, {"expansion": 2, "norm": norm}, branch)


def language_model(blocks: Iterable[Block]) -> Topology:
    """These blocks over 64 bytes, 48 wide."""
    return Topology((64,), Stem("token", 48, {"vocabulary": 256}), tuple(blocks), Head("language_model"), 256)


def twice(networks: Mapping[str, Topology], names: Iterable[str]) -> dict[str, Topology]:
    """Return the networks, those with these names a second time with torch's own convolutions."""
    return {**networks, **{name + TORCH: networks[name] for name in names}}


TORCH = ", torch's init"
DIGITS = {"input": (1, 8, 8), "outputs": 10}
SCENES = {"input": (1, 48, 48), "outputs": 11}
ADD = Skip("add")
DEPTHS = {"a": (8, 20, 56), "d": (1, 3, 6), "e": (10, 20, 50, 100), "f": (6, 12)}


def deep() -> Claim:
    residual = references.resnet(56, cifar=True, **DIGITS)  # type: ignore[arg-type]
    networks = {
        "none": with_skip(residual, None),
        "add": residual,
        "gate": with_skip(residual, Skip("gate", shortcut="pad", options={"bias": "auto"})),
        "concat": references.densenet_bc(58, **DIGITS),  # type: ignore[arg-type]
    }
    parts = (
        Comparison("add trains what none cannot", ("add",), ("none",)),
        Comparison("add trains what none cannot, with torch's init", ("add" + TORCH,), ("none" + TORCH,)),
        Comparison("gates train it too", ("gate",), ("none",)),
        Comparison("gates are as good as add, to 0.01", ("gate",), ("add",), 0.01),
        Comparison("concat is as good as add, to 0.01", ("concat",), ("add",), 0.01),
    )
    recipe = Recipe(epochs=20, batch_size=128, lr=0.05, weight_decay=1e-4, label_smoothing=0.0)
    return Claim("digits", recipe, twice(networks, ("none", "add")), 0.1, parts)


def long_skips() -> Claim:
    unet = references.unet(8, 3, **SCENES)  # type: ignore[arg-type]
    blocks = (replace(b, skips=(ADD,)) if b.op == "double_conv" else b for b in unet.blocks)
    residual = replace(unet, blocks=tuple(blocks))
    networks = {
        "no long skips": with_skip(unet, None, "upconv"),
        "U-Net": unet,
        "residual inside, no long skips": with_skip(residual, None, "upconv"),
        "residual inside, U-Net": residual,
    }
    inside = ("residual inside, U-Net",), ("residual inside, no long skips",)
    parts = (
        Comparison("long skips raise the mean IoU", ("U-Net",), ("no long skips",)),
        Comparison("with torch's init as well", ("U-Net" + TORCH,), ("no long skips" + TORCH,)),
        Comparison("also of a net that is residual inside", *inside),
    )
    recipe = tasks.get("digit_scenes").recipe.model_copy(update={"epochs": 30})
    return Claim("digit_scenes", recipe, twice(networks, ("no long skips", "U-Net")), 0.0, parts)


def transformers() -> Claim:
    depths = DEPTHS["d"]
    networks = {
        f"{pairs} pairs, {name}": transformer(pairs, skip)
        for pairs in depths
        for name, skip in (("none", None), ("add", ADD))
    }
    parts = (
        *(
            Comparison(f"{pairs} pairs are worse without add", (f"{pairs} pairs, none",), (f"{pairs} pairs, add",))
            for pairs in depths
        ),
        *(
            Comparison(
                f"the gap is greater at {deeper} pairs than at {pairs}",
                (f"{deeper} pairs, none", f"{pairs} pairs, add"),
                (f"{deeper} pairs, add", f"{pairs} pairs, none"),
            )
            for pairs, deeper in pairwise(depths)
        ),
        Comparison("6 pairs are as good as 3, to 0.02", ("3 pairs, add",), ("6 pairs, add",), 0.02),
    )
    return Claim("pydoc", tasks.get("pydoc").recipe.model_copy(update={"epochs": 1}), networks, 8.0, parts)


def fully_connected() -> Claim:
    depths = DEPTHS["e"]
    highways = {depth: references.highway(depth, 50, **DIGITS) for depth in depths}  # type: ignore[arg-type]
    networks = {
        f"{depth} layers, {name}": topology
        for depth, gated in highways.items()
        for name, topology in (("none", with_skip(gated, None)), ("gate", gated))
    }
    parts = tuple(
        Comparison(f"{depth} layers are better with gates", (f"{depth} layers, gate",), (f"{depth} layers, none",))
        for depth in depths
    )
    recipe = Recipe(epochs=40, batch_size=64, lr=0.05, weight_decay=1e-4, label_smoothing=0.0)
    return Claim("digits", recipe, networks, 0.1, parts)


def frontier() -> Claim:
    networks, parts = dict[str, Topology](), list[Comparison]()
    for pairs in DEPTHS["f"]:
        forms = {
            "none": transformer(pairs, None),
            "add": transformer(pairs, ADD),
            "zero on each branch": language_model(pair(ADD, branch=Scale("zero")) * pairs),
            "0.1 a channel": language_model(pair(ADD, branch=Scale("channel", {"start": 0.1})) * pairs),
            "peri-norm": language_model(pair(ADD, "peri") * pairs),
            "mix of all layers": language_model(averaged(pair(ADD), pairs, "mix")),
            "attention over layers": language_model(averaged(pair(ADD), pairs, "attend")),
        }
        names = {form: f"{pairs} pairs, {form}" for form in forms}
        networks |= {names[form]: topology for form, topology in forms.items()}
        parts.append(Comparison(f"{pairs} pairs are worse without add", (names["none"],), (names["add"],)))
        for form in [*forms][2:]:
            better = f"{names[form]} is better than add"
            parts.append(Comparison(better, (names["add"],), (names[form],)))
    return Claim("pydoc", tasks.get("pydoc").recipe.model_copy(update={"epochs": 1}), networks, 8.0, tuple(parts))


CLAIMS = {"b": deep, "c": long_skips, "d": transformers, "e": fully_connected, "f": frontier}


@functools.cache
def _evaluator(task: str, recipe: Recipe) -> Evaluator:
    """One a process and recipe: the data is loaded once."""
    return Evaluator(tasks.get(task), recipe)


def figure(letter: str, network: str, seed: int) -> float:
    """The metric of one training on the test split."""
    claim = CLAIMS[letter]()
    trainer = _evaluator(claim.task, claim.recipe_of(network))
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
        values,
        Comparison("plain nets degrade", (f"{deepest}, plain",), (f"{shallow}, plain",)),
        Comparison("residual ones do not, to 0.01", (f"{shallow}, residual",), (f"{deepest}, residual",), 0.01),
    )


def compares(letter: str, pool: ProcessPoolExecutor, seeds: int) -> None:
    """One of CLAIMS."""
    claim = CLAIMS[letter]()
    jobs = {name: [pool.submit(figure, letter, name, seed) for seed in range(seeds)] for name in claim.networks}
    print(f"{letter}  {tasks.get(claim.task).metric} of {claim.task}, {claim.recipe.epochs} epochs\n")
    values: dict[str, list[float]] = {}
    for name, topology in claim.networks.items():
        values[name] = [job.result() for job in jobs[name]]
        print(f"   {name:<40}{spread(values[name]):>16}{measure(topology).params:>12,} params", flush=True)
    _verdicts(values, *claim.parts)


def _verdicts(values: Values, *parts: Comparison) -> None:
    print("", *(f"   {part.verdict(values)}" for part in parts), "", sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["a", *CLAIMS], default=[*"abcde"])
    parser.add_argument("--seeds", type=int, default=5)
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
