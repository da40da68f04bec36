"""Candidates that share a card are done sooner than one after the other.

Claim       On a GPU, digits candidates packed by the memory that each is predicted to need (--gpus-per-trial auto) are
            trained at least 3 times as many an hour as with a GPU for each; on a CPU, those in slots of one core more
            than one at a time with all cores.
Conditions  The space search_spaces/digits.yaml without baselines, `--epochs` each. A round trains the same topologies,
            drawn at random, on both sides, one side after the other and in turn the first, each in processes that it
            starts itself. The time is that from the first candidate's start to the last one's end, as the record has
            it: the start of the processes is not in it. Medians over the rounds; the ratio is that of a round.
Ancestry    https://docs.ray.io/en/latest/ray-core/scheduling/accelerators.html#fractional-accelerators

    python -m benchmarks.packing [--rounds 3] [--candidates 12] [--epochs 4] [--gpu-memory 24GiB]
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import statistics
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import ray

from nas.searching.driver import search
from nas.space import SearchSpace
from nas.study import Run
from nas.study.attributes import MEASURED, recorded

Options = dict[str, Any]  # of a search


def sides(gpu_memory: str | None) -> tuple[str, dict[str, Options]]:
    """What is compared on this machine: a line that says it, and name → options."""
    resources = ray.cluster_resources()
    if (gpus := int(resources.get("GPU", 0))) > 0:
        packed: Options = {"gpus_per_trial": "auto", "gpu_memory": gpu_memory}
        return f"{gpus} GPUs", {"one on a GPU": {"gpus_per_trial": 1}, "packed by memory": packed}
    cores = int(resources["CPU"])
    one, all_of_them = {"slots": cores}, {"slots": 1}
    return f"no GPU: {cores} cores are packed", {"one with all cores": all_of_them, "one for each core": one}


def space(candidates: int, epochs: int, seed: int) -> SearchSpace:
    loaded = SearchSpace.load("digits")
    data = loaded.to_dict()
    settings = {"trials": candidates, "seed": seed, "sampler": "random", "baselines": [], "objectives": ["accuracy"]}
    data["search"] |= settings | {"early_stopping": {"rule": "none"}}
    data["train"] |= {"epochs": epochs}
    return dataclasses.replace(SearchSpace.from_dict(data), source=loaded.source)


def an_hour(run: Run) -> float:
    """Candidates."""
    trials = run.study.get_trials()
    ends = [(trial.datetime_complete, timedelta(seconds=recorded(trial)[MEASURED]["busy"])) for trial in trials]
    assert all(trial.state.name == "COMPLETE" for trial in trials)
    began = min(end - busy for end, busy in ends if end is not None)
    return len(ends) / ((max(end for end, _ in ends if end is not None) - began).total_seconds() / 3600)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--gpu-memory", help="of each GPU, where others use it as well")
    options = parser.parse_args()
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    where, compared = sides(options.gpu_memory)
    rates: dict[str, list[float]] = {name: [] for name in compared}
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        for round_ in range(options.rounds):
            wanted = space(options.candidates, options.epochs, round_)
            for name in list(compared)[:: 1 if round_ % 2 == 0 else -1]:
                root = Path(folder) / f"{round_} {name}"
                rates[name].append(an_hour(search(wanted, name="run", root=root, quiet=True, **compared[name])))
    (alone, before), (packed, after) = rates.items()
    ratios = sorted(many / few for many, few in zip(after, before, strict=True))
    print(f"{where}; {options.rounds} rounds of {options.candidates} candidates, {options.epochs} epochs\n")
    print("| candidates | an hour |\n|---|---:|")
    print(f"| {alone} | {statistics.median(before):.0f} |\n| {packed} | {statistics.median(after):.0f} |")
    print(f"\n{statistics.median(ratios):.2f} × ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
