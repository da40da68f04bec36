"""The overhead of a search for each candidate, measured with candidates whose training takes no time.

Claim       The overhead of `nas` is at most 60 ms for each of 300 candidates, and at most a fortieth of that of Ray
            Tune with OptunaSearch, used as in its documentation. Both keep every candidate in a durable study.
Conditions  Two slots of one core; eight decisions of three values on both sides; Optuna's storage in an SQLite file on
            both sides; each side in a process of its own with a Ray of its own. There are two figures: the wall time
            of the whole call (with its own start, without that of Ray) divided by the number of candidates; and the
            time from the end of the first candidate to the end of the last one, by the study's time stamps, divided
            by the number of candidates after the first. `nas` uses its default sampler, and also predicts the cost of
            every candidate and fetches the weights of the leaders. Tune starts a process for each trial of a function,
            so 20 candidates are enough to measure the cost of one.
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
    """An evaluator whose trainings end at once, with a made-up accuracy."""

    network, epochs = None, 1

    def __init__(self, *, device: str, threads: int) -> None:
        self.measured = {"seconds": 0.0}

    def start(self, topology: Any, *, seed: int) -> Iterator[dict[str, Any]]:
        """Yield the record of the only epoch."""
        yield {"epoch": 1, "accuracy": int(topology.key[:8], 16) / 2**32}


Overhead = tuple[float, float]  # seconds for each candidate: of the whole call, and after the first candidate


def measure_nas(trials: int, sampler: str, folder: Path) -> Overhead:
    """Return the overhead of nas.search."""
    from nas.searching.driver import search
    from nas.space import SearchSpace

    start_ray()
    began = time.perf_counter()
    space = SearchSpace.from_dict(SPACE)
    run = search(space, trials=trials, sampler=sampler, slots=2, root=folder, evaluate=Instant, quiet=True)
    seconds = time.perf_counter() - began
    return _overhead(seconds, run.study, trials)


def objective(config: dict[str, str]) -> None:
    """Report a made-up accuracy, as a function that Tune calls."""
    from ray import tune

    tune.report({"accuracy": hash(tuple(config.values())) % 2**32 / 2**32})


def measure_tune(trials: int, sampler: str, folder: Path) -> Overhead:
    """Return the overhead of tune.Tuner with OptunaSearch; it ignores `sampler`."""
    import optuna
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    start_ray()
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
    return _overhead(seconds, optuna.load_study(study_name="plain", storage=storage), trials)


def _overhead(seconds: float, study: Any, trials: int) -> Overhead:
    return seconds / trials, span(study, trials) / (trials - 1)


def span(study: Any, trials: int) -> float:
    """Return the seconds between the ends of the first and the last of so many trials, all of them COMPLETE."""
    ends = [trial.datetime_complete for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(ends) == trials, f"{len(ends)} of {trials} trials are COMPLETE"
    return float((max(ends) - min(ends)).total_seconds())


def start_ray() -> None:
    """Start a Ray with two cores, without its dashboard."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def in_process(side: str, trials: int, sampler: str) -> list[float]:
    """Return the overhead of a side in milliseconds, measured in a new process."""
    options = ["--side", side, "--trials", str(trials), "--sampler", sampler]
    command = [sys.executable, "-m", "benchmarks.dispatch", *options]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [1e3 * float(seconds) for seconds in printed.split()[-2:]]


def main() -> None:
    """Measure both sides, or one of them, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--plain", type=int, default=20, help="candidates of plain Tune")
    parser.add_argument("--sampler", default="topology")
    parser.add_argument("--side", choices=SIDES, help="measure this side alone, in this process, and print its seconds")
    options = parser.parse_args()
    if options.side:
        with tempfile.TemporaryDirectory(prefix="dispatch-") as folder:
            print(*SIDES[options.side](options.trials, options.sampler, Path(folder)))
        return
    nas = in_process("nas", options.trials, options.sampler)
    tune = in_process("tune", options.plain, options.sampler)
    print("| searched with | candidates | ms per candidate, with its start | after the first |")
    print("|---|---:|---:|---:|")
    print(f"| `tune.Tuner` + `OptunaSearch` | {options.plain} | {tune[0]:.0f} | {tune[1]:.0f} |")
    print(f"| `nas` | {options.trials} | {nas[0]:.1f} | {nas[1]:.1f} |")
    print(f"\n{tune[0] / nas[0]:.0f} and {tune[1] / nas[1]:.0f} times less")


SIDES = {"nas": measure_nas, "tune": measure_tune}

if __name__ == "__main__":
    main()
