"""A search on the card, end to end, with candidates packed by memory: slots busy, memory predicted, states true."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.card.machine import MIB, Goal, Machine, Row

TITLE = "nas search digits --gpus-per-trial auto"
SECONDS = 180
NEEDED = ("ray", "optuna", "pydantic", "yaml", "sklearn")
BUSY = 93


def rows(machine: Machine) -> Iterator[Row]:
    """Yield one row of what the search says and what its record holds."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        yield {"left out": f"not installed: {', '.join(missing)}"}
        return
    from nas.study import Run
    from nas.study.attributes import MEASURED, PREDICTED, recorded

    with tempfile.TemporaryDirectory(prefix="card-") as folder:
        space = Path(folder, "digits.yaml")
        space.write_text(experiment(machine))
        share = ["--gpus-per-trial", "auto"] if machine.card else []
        began = time.perf_counter()
        command = [sys.executable, "-m", "nas", "search", str(space), "--name", "card", *share]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        row: Row = {"seconds": round(time.perf_counter() - began), "exit code": done.returncode}
        said = re.findall(r"(\d+)% busy", done.stderr)
        row["slots busy, %"] = int(said[-1]) if said else None
        if done.returncode != 0:
            yield row | {"failed": done.stderr[-2000:]}
            return
        trials = Run.open("card", Path(folder, "runs")).study.get_trials()
    states = Counter(trial.state.name for trial in trials)
    row["states"] = ", ".join(f"{count} {state}" for state, count in states.items())
    measured = [recorded(trial) for trial in trials if "memory" in recorded(trial).get(MEASURED, {})]
    ratios = [known[PREDICTED]["memory"] / known[MEASURED]["memory"] for known in measured]
    replayed = [known[MEASURED].get("replayed", 0.0) for known in measured]
    if ratios:
        row |= {
            "predicted / allocated": f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            "off by more than a tenth": sum(abs(ratio - 1) > 0.1 for ratio in ratios),
            "allocated, MiB": round(median(known[MEASURED]["memory"] for known in measured) / MIB, 1),
            "replayed": round(median(replayed), 3),
        }
    row["busy seconds"] = round(sum(recorded(trial).get(MEASURED, {}).get("busy", 0) for trial in trials), 1)
    yield row | {"end": done.stderr[-300:]}


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield whether the search filled its slots and told the truth."""
    row = rows[0]
    busy = row.get("slots busy, %")
    yield Goal(f"slots busy at least {BUSY} % ({busy})", None if busy is None else busy >= BUSY)
    off = row.get("off by more than a tenth")
    yield Goal(f"memory within a tenth of the prediction for each trial (not {off})", None if off is None else off == 0)
    yield Goal("the search ends well", row.get("exit code") == 0)


def experiment(machine: Machine) -> str:
    """Return the space of the digits, with more candidates, or next to none."""
    import yaml

    from nas.space import SearchSpace

    data = SearchSpace.load("digits").to_dict()
    data["search"] |= {"trials": 2 if machine.tiny else 64}
    if machine.tiny:
        data["search"] |= {"baselines": []}
        data["train"] |= {"epochs": 1}
    return str(yaml.safe_dump(data))
