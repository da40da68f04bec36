"""Early stopping spares most of the training of a real search, and next to nothing of what it finds.

Claim       ASHA with several objectives (nas.searching.stopping) takes at least 40 % less training time than training
            everything to the end, and the best candidate found is at most 0.2 points of accuracy worse.
Ancestry    Li et al. 2020, "A system for massively parallel hyperparameter tuning" (arXiv:1810.05934).
Conditions  The space search_spaces/digits.yaml with its objectives (accuracy, params, memory) and its baselines. For
            every seed the baselines and then topologies drawn uniformly, 40 in all, are trained to the end, with the
            CPU seconds of each epoch (other processes on the machine do not count). A search with early stopping and
            one without are then compared on the same trainings: the curves are replayed in their order on two slots,
            each epoch for as long as it took, through the scheduler class that a search uses. A candidate that is
            stopped saves its later epochs, and cannot be the best. `lost` is the best final accuracy of all minus that
            of those trained to the end, `front` the share of the final Pareto front among them. Validation split; mean
            ± sd over the seeds.
            `--search 40` adds two searches of 40 candidates through Ray, as a user starts them: with and without, the
            same seed. The sampler learns from the trials, so that the candidates of the two are not the same.

    python -m benchmarks.early_stopping [--seeds 5] [--candidates 40] [--curves FILE] [--search N]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler

import nas
from nas.errors import CandidateError
from nas.files import write_whole
from nas.sampling.topologies import GuidedTrial
from nas.searching.candidate import Candidate
from nas.searching.driver import search
from nas.searching.sampler_study import limit_excess
from nas.searching.stopping import NO_CONTROLLER, scheduler
from nas.space import SearchSpace
from nas.study.pareto import pareto_rank
from nas.topology import Topology
from nas.training.evaluate import Evaluator

RULES = {  # (grace, reduction, with costs); the first is the default
    "grace 1, reduction 3": (1, 3, True),
    "grace 1, reduction 2": (1, 2, True),
    "grace 1, reduction 4": (1, 4, True),
    "grace 2, reduction 2": (2, 2, True),
    "grace 2, reduction 3": (2, 3, True),
    "grace 3, reduction 3": (3, 3, True),
    "plain ASHA, 1 and 3": (1, 3, False),
    "plain ASHA, 2 and 2": (2, 2, False),
}


@dataclass
class Training:
    """A candidate that was trained to the end, or until it failed: {epoch, accuracy, seconds} of every epoch."""

    baseline: str
    topology: dict[str, Any]
    predicted: dict[str, int]
    curve: list[dict[str, float]]
    whole: bool


def train(space: SearchSpace, evaluator: Evaluator, seed: int, count: int) -> Iterator[Training]:
    """Yield `count` trainings: of the baselines of the space, then of random topologies within its limits."""
    for name, topology in itertools.islice(_drawn(space, seed), count):
        curve: list[dict[str, float]] = []
        began = time.process_time()
        try:
            for record in evaluator.start(topology, seed=seed):
                now = time.process_time()
                curve.append({"epoch": record["epoch"], "accuracy": record["accuracy"], "seconds": now - began})
                began = now
        except CandidateError:
            pass  # the epochs until then are kept
        yield Training(name, topology.to_dict(), _price(space, topology), curve, len(curve) == evaluator.epochs)


def _drawn(space: SearchSpace, seed: int) -> Iterator[tuple[str, Topology]]:
    baselines = space.baselines()
    yield from baselines.items()
    known, rng = {topology.key for topology in baselines.values()}, random.Random(seed)
    while True:
        topology = space.sample(GuidedTrial({}, rng))
        if topology.key not in known and max(limit_excess(space, _price(space, topology)).values(), default=0) <= 0:
            known.add(topology.key)
            yield "", topology


def _price(space: SearchSpace, topology: Topology) -> dict[str, int]:
    cost = nas.measure(topology, space.recipe)
    return {"params": cost.params, "memory": cost.memory, "flops": cost.flops}


def replay(space: SearchSpace, trainings: Sequence[Training], slots: int = 2) -> tuple[float, list[Training]]:
    """Return the training seconds with the space's rule of early stopping, and the trainings that it did not stop."""
    candidates = {
        str(number): Candidate(Topology.from_dict(one.topology), 0, one.predicted, baseline=one.baseline or None)
        for number, one in enumerate(trainings)
    }
    rule = scheduler(space, candidates.__getitem__, lambda controller, trial: None)
    waiting = iter([number for number, one in enumerate(trainings) if one.curve])
    running: list[tuple[float, int, int]] = []  # (end of the epoch in seconds, number of the candidate, epoch)

    def begin(now: float) -> None:
        if (number := next(waiting, None)) is not None:
            rule.on_trial_add(NO_CONTROLLER, _trial(number))
            go_on(now, number, 0)

    def go_on(now: float, number: int, epoch: int) -> None:
        heapq.heappush(running, (now + trainings[number].curve[epoch]["seconds"], number, epoch))

    spent, finished = 0.0, []
    for _ in range(slots):
        begin(0.0)
    while running:
        now, number, epoch = heapq.heappop(running)
        one = trainings[number]
        spent += one.curve[epoch]["seconds"]
        if epoch + 1 == len(one.curve):
            finished += [one] if one.whole else []
            begin(now)
        elif rule.on_trial_result(NO_CONTROLLER, _trial(number), one.curve[epoch]) == TrialScheduler.STOP:
            begin(now)
        else:
            go_on(now, number, epoch + 1)
    return spent, finished


def _trial(number: int) -> Any:
    """Return the only part of a Tune trial that a scheduler reads."""
    return SimpleNamespace(trial_id=str(number))


def ruled(space: SearchSpace, grace: int, reduction: int, costs: bool) -> SearchSpace:
    """Return the space with this rule of early stopping; without costs, accuracy is its only objective (plain ASHA)."""
    settings: dict[str, Any] = {"early_stopping": {"rule": "asha", "grace": grace, "reduction": reduction}}
    settings |= {} if costs else {"objectives": ["accuracy"]}
    data = space.to_dict()
    return SearchSpace.from_dict(data | {"search": data["search"] | settings})


def compare(
    space: SearchSpace, rule: tuple[int, int, bool], trainings: Sequence[Training]
) -> tuple[float, float, float, float]:
    """Return (time saved, accuracy lost by the best, share of the front that is kept, share trained to the end)."""
    spent, finished = replay(ruled(space, *rule), trainings)
    everything = sum(record["seconds"] for one in trainings for record in one.curve)
    whole = [one for one in trainings if one.whole]
    lost = max(map(_accuracy, whole)) - max(map(_accuracy, finished))
    ranks = pareto_rank(_values(space, whole), space.goals.directions)
    front = [one for one, rank in zip(whole, ranks, strict=True) if rank == 1]
    kept = sum(one in finished for one in front) / len(front)
    return 1 - spent / everything, lost, kept, len(finished) / len(whole)


def _accuracy(one: Training) -> float:
    return one.curve[-1]["accuracy"]


def _values(space: SearchSpace, trainings: Sequence[Training]) -> list[list[float]]:
    return [
        [_accuracy(one) if name == "accuracy" else one.predicted[name] for name in space.goals.names]
        for one in trainings
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=40, help="candidates of each seed")
    parser.add_argument("--curves", type=Path, help="a file that keeps the trainings; those it holds are not repeated")
    parser.add_argument("--search", type=int, metavar="N", help="two real searches of N candidates as well")
    options = parser.parse_args()
    space = SearchSpace.load("digits")
    trainings = [_trained(space, seed, options.candidates, options.curves) for seed in range(options.seeds)]
    print(f"{'rule':24}{'time saved, %':>16}{'lost, points':>16}{'front kept, %':>16}{'to the end, %':>16}")
    for name, rule in RULES.items():
        figures = zip(*(compare(space, rule, some) for some in trainings), strict=True)
        print(f"{name:24}" + "".join(f"{_spread(column):>16}" for column in figures))
    if options.search:
        _search(space, options.search)


def _trained(space: SearchSpace, seed: int, count: int, file: Path | None) -> list[Training]:
    """Return the trainings of a seed: from the file if it holds enough of them, otherwise new ones."""
    stored = json.loads(file.read_text()) if file is not None and file.is_file() else {}
    if len(stored.get(str(seed), [])) < count:
        began = time.perf_counter()
        stored[str(seed)] = [asdict(one) for one in train(space, Evaluator(space.task, space.recipe), seed, count)]
        print(f"seed {seed}: {count} trainings in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        if file is not None:
            write_whole(file, json.dumps(stored))
    return [Training(**one) for one in stored[str(seed)][:count]]


def _search(space: SearchSpace, trials: int) -> None:
    """Print the results of two real searches: one without early stopping, one with it."""
    print(f"\n{'search':24}{'epochs':>16}{'best, %':>16}{'finished':>16}{'stopped':>16}")
    data = space.to_dict()
    for rule in ("none", "asha"):
        chosen = SearchSpace.from_dict(data | {"search": data["search"] | {"early_stopping": rule}})
        with tempfile.TemporaryDirectory() as root:
            frame = search(chosen, trials=trials, root=root, quiet=True).frame()
        done = frame[frame["state"] == "COMPLETE"]
        figures = (
            str(frame["epochs"].sum()),
            f"{100 * done['accuracy'].max():.2f}",
            len(done),
            (frame["state"] == "PRUNED").sum(),
        )
        print(f"{rule:24}" + "".join(f"{figure:>16}" for figure in figures))


def _spread(shares: Sequence[float]) -> str:
    deviation = statistics.stdev(shares) if len(shares) > 1 else 0.0
    return f"{100 * statistics.mean(shares):.2f} ± {100 * deviation:.2f}"


if __name__ == "__main__":
    main()
