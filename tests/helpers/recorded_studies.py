"""Runs with the record of a search that nobody trained, whatever was done to their files, and all that looks at one."""

from __future__ import annotations

import gc
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.study import recorded_run
from nas.space import SearchSpace
from nas.study import Run
from nas.topology import Topology

LOOKS = (
    ("list",),
    ("status", "base"),
    ("rank", "base"),
    ("report", "base", "-o", "report.html"),
    ("effects", "base"),
    ("show", "base/7"),
)


def cheap(topology: Topology) -> dict[str, int]:
    """A price that follows from the widths, without torch."""
    params = 9 * sum(block.width**2 for block in topology.blocks)
    return {"params": params, "flops": 10 * params, "memory": 100 * params}


def record(root: Path, name: str = "base", trials: int = 60, storage: str | None = None, **space: Any) -> Run:
    """A closed run of the shipped space digits, with changes, whose study holds so many trials."""
    changed = SearchSpace.from_dict(SearchSpace.load("digits").to_dict() | space)
    run = recorded_run(root, name, trials, space=changed, price=cheap, storage=storage)
    run.storage.remove_session()
    run.storage.engine.dispose()
    gc.collect()  # what still refers to a connection
    if storage is None:
        execute(run.path, "PRAGMA wal_checkpoint(TRUNCATE)")  # the write-ahead log goes with the last connection
    closed = Run(run.path)
    if storage is not None:
        closed.log_in(storage)
    return closed


def execute(run: Path, *statements: str) -> None:
    """Change the study of a run."""
    with sqlite3.connect(run / "study.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def change(run: Path, trial: int, attribute: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit what a system attribute of a trial holds."""
    whose = f"trial_id = {trial + 1} AND key = '{attribute}'"
    with sqlite3.connect(run / "study.db") as database:
        [(text,)] = database.execute(f"SELECT value_json FROM trial_system_attributes WHERE {whose}").fetchall()
        content = json.loads(text)
        edit(content)
        database.execute(f"UPDATE trial_system_attributes SET value_json = ? WHERE {whose}", [json.dumps(content)])
    database.close()
