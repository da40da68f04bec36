"""A candidate that takes no time costs next to none.

Claim       300 instant candidates, each kept in a durable record, take at most 60 ms each through `nas`, and at most
            a fortieth of what they take through Ray Tune as its documentation shows it.
Conditions  two slots of one core; eight decisions of three values on both sides; Optuna's storage in an SQLite file on
            both sides; each side in a process and on a Ray of its own. Two figures: wall time of the whole call, its
            start included (Ray's excluded), over the number of candidates; and the time from the end of the first to
            the end of the last, as the record has it, over the number of those after the first. `nas` samples with its
            default, and prices every candidate and asks the leaders for their weights on top. Tune makes a process for
            each trial of a function: there 20 candidates are enough to see what one costs.
Ancestry    https://docs.ray.io/en/latest/tune/examples/optuna_example.html

    python -m benchmarks.dispatch [--trials 300] [--plain 20] [--sampler topology]
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS, BLOCKS = ["none", "add", "gate"], 8  # 6,561 topologies
SPACE = {
    "task": "digits",
    "network": {
        "stem": {"op": "conv3x3", "width": 4},
        "stages": [{"blocks": BLOCKS, "op": "basic", "width": 4}],
        "head": "classify",
    },
    "skips": {"kinds": KINDS},
    "search": {"objectives": ["accuracy"], "baselines": []},
}


class Instant:
    """An evaluator whose candidates are done as soon as they begin."""

    network, epochs = None, 1

    def __init__(self, *, device: str, threads: int) -> None:
        self.measured = {"seconds": 0.0}

    def start(self, topology: Any, *, seed: int) -> Iterator[dict[str, Any]]:
        yield {"epoch": 1, "accuracy": int(topology.key[:8], 16) / 2**32}


Cost = tuple[float, float]  # seconds for each candidate: of the whole call, and after the first candidate


def ours(trials: int, sampler: str, folder: Path) -> Cost:
    """Through nas."""
    from nas.searching.driver import search
    from nas.space import SearchSpace

    _start_ray()
    began = time.perf_counter()
    space = SearchSpace.from_dict(SPACE)
    run = search(space, trials=trials, sampler=sampler, slots=2, root=folder, evaluate=Instant, quiet=True)
    seconds = time.perf_counter() - began
    return _cost(seconds, run.study, trials)


def objective(config: dict[str, str]) -> None:
    """An instant candidate as Tune's documentation would have it."""
    from ray import tune

    tune.report({"accuracy": hash(tuple(config.values())) % 2**32 / 2**32})


def plain(trials: int, sampler: str, folder: Path) -> Cost:
    """Through tune.Tuner with OptunaSearch."""
    import optuna
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    _start_ray()
    began = time.perf_counter()
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'plain.db'}")
    tuner = tune.Tuner(
        tune.with_resources(objective, {"cpu": 1}),
        param_space={f"block{number}": tune.choice(KINDS) for number in range(BLOCKS)},
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(metric="accuracy", mode="max", storage=storage, study_name="plain"),
            num_samples=trials,
            max_concurrent_trials=2,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    results = tuner.fit()
    seconds = time.perf_counter() - began
    assert not results.errors
    return _cost(seconds, optuna.load_study(study_name="plain", storage=storage), trials)


def _cost(seconds: float, study: Any, trials: int) -> Cost:
    ends = [trial.datetime_complete for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(ends) == trials
    return seconds / trials, (max(ends) - min(ends)).total_seconds() / (trials - 1)


def _start_ray() -> None:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def measured(side: str, trials: int, sampler: str) -> list[float]:
    """Its cost in milliseconds, in a process that has done nothing else."""
    options = ["--side", side, "--trials", str(trials), "--sampler", sampler]
    command = [sys.executable, "-m", "benchmarks.dispatch", *options]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [1e3 * float(seconds) for seconds in printed.split()[-2:]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--plain", type=int, default=20, help="candidates through plain Tune")
    parser.add_argument("--sampler", default="topology")
    parser.add_argument("--side", choices=SIDES, help="measure this one alone, and print its seconds")
    options = parser.parse_args()
    if options.side:
        with tempfile.TemporaryDirectory(prefix="dispatch-") as folder:
            print(*SIDES[options.side](options.trials, options.sampler, Path(folder)))
        return
    mine = measured("nas", options.trials, options.sampler)
    theirs = measured("plain", options.plain, options.sampler)
    print("| through | candidates | ms per candidate, start included | after the first |")
    print("|---|---:|---:|---:|")
    print(f"| `tune.Tuner` + `OptunaSearch` | {options.plain} | {theirs[0]:.0f} | {theirs[1]:.0f} |")
    print(f"| `nas` | {options.trials} | {mine[0]:.1f} | {mine[1]:.1f} |")
    print(f"\n{theirs[0] / mine[0]:.0f} and {theirs[1] / mine[1]:.0f} × less")


SIDES = {"nas": ours, "plain": plain}

if __name__ == "__main__":
    main()
