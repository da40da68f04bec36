"""A candidate that takes no time costs next to none.

Claim       300 instant candidates, each kept in a durable record, take at most 60 ms each through `nas`, and at most
            a fortieth of what they take through Ray Tune as its documentation shows it.
Conditions  two slots of one core; eight decisions of three values on both sides; Optuna's storage in an SQLite file on
            both sides; each side in a process and on a Ray of its own. Wall time of the whole call, its start included
            (Ray's excluded), over the number of candidates. `nas` samples with its default, and prices every candidate
            and asks the leaders for their weights on top. Tune makes a process for each trial of a function: there 20
            candidates are enough to see what one costs.
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


def ours(trials: int, sampler: str, folder: Path) -> float:
    """Seconds for each candidate."""
    from nas.search.driver import search
    from nas.space import SearchSpace

    _start_ray()
    began = time.perf_counter()
    space = SearchSpace.from_dict(SPACE)
    run = search(space, trials=trials, sampler=sampler, slots=2, root=folder, evaluate=Instant, quiet=True)
    seconds = time.perf_counter() - began
    assert list(run.frame()["state"]) == ["COMPLETE"] * trials
    return seconds / trials


def objective(config: dict[str, str]) -> None:
    """An instant candidate as Tune's documentation would have it."""
    from ray import tune

    tune.report({"accuracy": hash(tuple(config.values())) % 2**32 / 2**32})


def plain(trials: int, sampler: str, folder: Path) -> float:
    """Seconds for each candidate."""
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
    assert len(results) == trials and not results.errors
    return seconds / trials


def _start_ray() -> None:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def measured(side: str, trials: int, sampler: str) -> float:
    """Milliseconds for each candidate, in a process that has done nothing else."""
    options = ["--side", side, "--trials", str(trials), "--sampler", sampler]
    command = [sys.executable, "-m", "benchmarks.dispatch", *options]
    return 1e3 * float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


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
            print(SIDES[options.side](options.trials, options.sampler, Path(folder)))
        return
    mine = measured("nas", options.trials, options.sampler)
    theirs = measured("plain", options.plain, options.sampler)
    print("| through | candidates | ms per candidate |")
    print("|---|---:|---:|")
    print(f"| `tune.Tuner` + `OptunaSearch` | {options.plain} | {theirs:.0f} |")
    print(f"| `nas` | {options.trials} | {mine:.1f} |")
    print(f"\n{theirs / mine:.0f} × less")


SIDES = {"nas": ours, "plain": plain}

if __name__ == "__main__":
    main()
