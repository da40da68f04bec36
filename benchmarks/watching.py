"""What it costs a search that people look at it, measured with candidates whose training takes no time.

Claim       With the dashboard open, which asks for the study every two seconds, a search of 300 candidates takes at
            most 1.05 times as long as without; nobody is locked out.
Conditions  Pairs of searches in turn, one with `nas dashboard` in a process of its own and a client that loads the
            study and polls it, one without; the order of the two alternates. Each search is a process of its own with a
            Ray of its own and two slots of one core; the sampler draws at random. The figure is the time from the end
            of the first candidate to the end of the last one, by the study's time stamps. The ratio is the geometric
            mean over the pairs, with the 95 % interval of a t test on the logarithms.
Ancestry    none

    python -m benchmarks.watching [--pairs 6] [--trials 300] [--storage URL]
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

POLL_S = 2.0


def search_seconds(folder: Path, name: str, trials: int, storage: str | None) -> float:
    """Search, and return the seconds between the ends of the first and the last candidate. Called in a new process."""
    from benchmarks.dispatch import SPACE, Instant, span, start_ray
    from nas.searching.driver import search
    from nas.space import SearchSpace

    start_ray()
    options: dict[str, Any] = {"trials": trials, "sampler": "random", "slots": 2, "evaluate": Instant, "quiet": True}
    run = search(SearchSpace.from_dict(SPACE), name=name, root=folder, storage=storage, **options)
    return span(run.study, trials)


def in_process(folder: Path, name: str, trials: int, storage: str | None, watched: bool) -> tuple[float, int]:
    """Return the seconds of a search in a process of its own, and how often a client polled its dashboard."""
    options = ["--side", name, "--folder", str(folder), "--trials", str(trials)]
    command = [sys.executable, "-m", "benchmarks.watching", *options, *(["--storage", storage] if storage else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as searching:
        polls = poll(folder / name, searching) if watched else 0
        printed = searching.communicate()[0]
    return float(printed.split()[-1]), polls


def poll(run: Path, searching: subprocess.Popen[str]) -> int:
    """Open the dashboard of a run, and ask for its study until the search ends; return how often it was asked."""
    while not (run / "run.yaml").is_file():
        time.sleep(0.1)
    command = [sys.executable, "-m", "nas", "dashboard", str(run), "--port", "0"]
    polls, known = 0, 0
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as dashboard:
        assert dashboard.stderr is not None
        link = next(word for line in dashboard.stderr for word in line.split() if word.startswith("http"))
        while searching.poll() is None:
            with urllib.request.urlopen(f"{link.replace('/dashboard/', '/api/')}?after={known}") as answer:
                trials = json.load(answer)["trials"]
            ended = [trial["state"] in ("Complete", "Fail", "Pruned") for trial in trials]
            known += ended.index(False) if False in ended else len(ended)
            polls += 1
            time.sleep(POLL_S)
        dashboard.terminate()
    return polls


def main() -> None:
    """Measure pairs of searches, or one search, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--storage", help="the URL of an Optuna storage; default: SQLite in the folder of each run")
    parser.add_argument("--side", help="search with this name alone, in this process, and print its seconds")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.side:
        print(search_seconds(asked.folder, asked.side, asked.trials, asked.storage))
        return
    print("| pair | without, s | with, s | ratio | polls |\n|---|---:|---:|---:|---:|", flush=True)
    ratios = []
    with tempfile.TemporaryDirectory(prefix="watching-") as folder:
        for pair in range(asked.pairs):
            found: dict[bool, tuple[float, int]] = {}
            for watched in (pair % 2 == 0, pair % 2 == 1):
                name = f"{Path(folder).name}-{pair}-{watched}"
                found[watched] = in_process(Path(folder), name, asked.trials, asked.storage, watched)
            (alone, _), (seen, polls) = found[False], found[True]
            ratios.append(seen / alone)
            print(f"| {pair + 1} | {alone:.1f} | {seen:.1f} | {ratios[-1]:.3f} | {polls} |", flush=True)
    print(f"ratio {summary(ratios)}")


def summary(ratios: list[float]) -> str:
    """Return the geometric mean of ratios with its 95 % interval."""
    from scipy import stats

    logs = [math.log(ratio) for ratio in ratios]
    mean = math.fsum(logs) / len(logs)
    low, high = stats.t.interval(0.95, len(logs) - 1, mean, stats.sem(logs))
    return f"{math.exp(mean):.3f} ({math.exp(low):.3f} to {math.exp(high):.3f})"


if __name__ == "__main__":
    main()
