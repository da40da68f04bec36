"""Run everything that claims to be for GPUs on a card, part by part, and write what was measured.

Each part is a process with a bound on its time; what it has measured when the bound comes is kept. A part that ended
is not run again for the same commit and card, unless it is named. Without a card it is a rehearsal: every part at
sizes that take seconds, on the CPU with stand-ins, so that the command is known to work when there is a card.
torch and numpy are enough for all parts but the search.

    python -m benchmarks.card [equal engine …] [--tiny] [--out runs/card] [--seconds 900]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.card.machine import Goal, Machine, Row
from benchmarks.card.tables import markdown

PARTS = ("equal", "faults", "memory", "room", "engine", "step", "packing", "fused", "search")
DONE, STOPPED, FAILED = "done", "stopped at its bound", "failed"


class Part(Protocol):
    """A module of this package that measures something."""

    TITLE: str
    SECONDS: int

    def rows(self, machine: Machine) -> Any: ...

    def goals(self, rows: list[Row]) -> Any: ...


def part(name: str) -> Part:
    """Return the module of a part."""
    module: Any = importlib.import_module(f"benchmarks.card.{name}")
    return module  # type: ignore[no-any-return]


def measure(name: str, machine: Machine, out: Path) -> None:
    """Write each row of a part as a line of JSON as soon as it is there."""
    with out.open("w") as file:
        for row in part(name).rows(machine):
            print(json.dumps(row), file=file, flush=True)


def run(name: str, machine: Machine, out: Path, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own and return what it measured, and how it ended."""
    lines, log = out / f"{name}.jsonl", out / f"{name}.log"
    lines.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.card", "--measure", name, "--out", str(lines)]
    command += ["--tiny"] if machine.tiny else []
    began = time.perf_counter()
    with log.open("w") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            state = DONE if child.wait(seconds) == 0 else FAILED
        except subprocess.TimeoutExpired:
            state = STOPPED
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    rows = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    result = {"state": state, "seconds": round(time.perf_counter() - began, 1), "rows": rows}
    lines.unlink(missing_ok=True)
    if state != DONE:
        result["log"] = log.read_text(errors="replace")[-4000:]
    log.unlink()
    return result


def main() -> int:
    """Run the parts, write card.json and card.md, print the table, and return 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them unless named")
    parser.add_argument("--tiny", action="store_true", help="at sizes that take seconds, as without a card")
    parser.add_argument("--out", type=Path, default=Path("runs/card"), help="the folder of card.json and card.md")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for all parts together")
    parser.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    card = torch.cuda.is_available()
    machine = Machine(card, tiny=options.tiny or not card)
    if options.measure:
        measure(options.measure, machine, options.out)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out, machine)
    ends = time.monotonic() + options.seconds
    for name in options.parts or PARTS:
        left = ends - time.monotonic()
        if left < 1 or (not options.parts and results.has(name)):
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        results.add(name, run(name, machine, options.out, min(left, part(name).SECONDS)))
    print((options.out / "card.md").read_text())
    return int(results.failed)


class Results:
    """The results of all parts, in card.json and card.md; those of another commit or card are dropped."""

    def __init__(self, out: Path, machine: Machine) -> None:
        self._out, self._about = out, machine.describe()
        self._parts: dict[str, Any] = {}
        before = json.loads((out / "card.json").read_text()) if (out / "card.json").exists() else {}
        if before.get("about") == self._about:
            self._parts = before["parts"]

    def has(self, name: str) -> bool:
        """Return whether the part has ended."""
        return bool(self._parts.get(name, {}).get("state") == DONE)

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Add the result of a part, and write both files."""
        goals = part(name).goals(result["rows"]) if result["rows"] else [Goal("it measured nothing", False)]
        result["goals"] = [{"text": goal.text, "reached": goal.reached} for goal in goals]
        self._parts[name] = {"title": part(name).TITLE} | result
        ordered = {name: self._parts[name] for name in PARTS if name in self._parts}
        whole = {"about": self._about, "parts": ordered}
        for file, text in (("card.json", json.dumps(whole, indent=1)), ("card.md", markdown(whole))):
            (self._out / f".{file}").write_text(text)
            (self._out / f".{file}").replace(self._out / file)

    @property
    def failed(self) -> bool:
        """Whether a part failed."""
        return any(part["state"] == FAILED for part in self._parts.values())


if __name__ == "__main__":
    sys.exit(main())
