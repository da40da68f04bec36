"""How long the commands that look at a run take, by the number of its trials.

Claim       `nas list`, `nas status` and `nas rank` take at most 2 s for a run of 10,000 trials, `nas report` at most
            5 s, and its page at most 8 MB.
Conditions  Each command is a process of its own, imports included. The figures are the user CPU time and the wall time,
            the least of some calls; on a busy machine only the former says something. The study is that of
            benchmarks.study, in SQLite. `optuna` is what `Study.get_trials` alone takes, as every command did before.
Ancestry    none

    python -m benchmarks.reading [--trials 300 10000] [--calls 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

SPACE = "digits"
OPTUNA = (
    "import optuna; storage = 'sqlite:///' + 'runs/{name}/study.db'\n"
    "print(len(optuna.load_study(study_name='{name}', storage=storage).get_trials(deepcopy=False)))"
)
COMMANDS = ("list", "status", "rank", "report")


def make_run(root: Path, name: str, trials: int) -> None:
    """Create the run `name` with so many trials in the folder runs of `root`."""
    from benchmarks.study import recorded_run
    from nas.cost import predict
    from nas.space import SearchSpace
    from nas.study.quiet import quiet_libraries

    space = SearchSpace.load(SPACE)
    with quiet_libraries():
        recorded_run(root / "runs", name, trials, space=space, price=partial(predict, recipe=space.recipe))


def seconds_of(command: list[str], folder: Path, calls: int) -> tuple[float, float]:
    """Return the least user CPU time and the least wall time of some calls of a command."""
    user, wall = [], []
    for _ in range(calls):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        wall.append(time.perf_counter() - began)
        user.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return min(user), min(wall)


def main() -> None:
    """Make the runs, measure every command on each, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[300, 10_000])
    parser.add_argument("--calls", type=int, default=3)
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
    print("| trials | what | CPU, s | wall, s | size, MB |\n|---:|---|---:|---:|---:|", flush=True)
    for trials in asked.trials:
        with tempfile.TemporaryDirectory(prefix="reading-") as folder:
            root, name = Path(folder), f"search-{trials}"
            make_run(root, name, trials)
            sides = {"optuna": [sys.executable, "-c", OPTUNA.format(name=name)]}
            sides |= {f"nas {word}": [sys.executable, "-m", "nas", word] for word in COMMANDS}
            for what, command in sides.items():
                user, wall = seconds_of(command, root, 1 if what == "optuna" else asked.calls)
                report = root / "runs" / name / "report.html"
                size = f"{report.stat().st_size / 1e6:.2f}" if what == "nas report" else ""
                print(f"| {trials:,} | `{what}` | {user:.2f} | {wall:.2f} | {size} |", flush=True)


if __name__ == "__main__":
    main()
