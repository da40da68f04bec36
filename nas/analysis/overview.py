"""A table of runs, one row for each, for `nas list` and `nas status --csv`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.ranking import ranked_rows, states, trained, unit_of
from nas.errors import DamagedRecord, NasError, message_of
from nas.study.states import ENDED, STATE_WORDS

if TYPE_CHECKING:
    from nas.study import Run

STATES = {state: STATE_WORDS[state].replace(" ", "_") for state in (*ENDED, "RUNNING")}  # state → its column
COLUMNS = (
    "run",
    "task",
    "started",
    "asked",
    *STATES.values(),
    "saved",
    "trial",
    "metric",
    "best",
    "written",
    "trouble",
)


def runs_frame(runs: Iterable[Run]) -> pd.DataFrame:
    """Return a row for each run: its settings, the states of its trials, and its best trial. The latest run is last.

    Columns: run, task, started, asked (trials, with the baselines and other controls so far), finished, stopped_early,
    failed, running, saved (trainings that a recorded result made unnecessary; a reused result does not count as
    finished), trial (the best one's number), metric (its name), best (what is expected of it), written (the same for a
    person), trouble (why a run cannot be read, or what of it is left out).
    """
    frame = pd.DataFrame([_row_or_trouble(run) for run in runs], columns=list(COLUMNS))
    whole = dict.fromkeys(("asked", *STATES.values(), "saved", "trial"), "Int64")
    return frame.astype(whole | {"best": "float64"})


def runs_table(frame: pd.DataFrame) -> Table:
    """Return the same as a table for a terminal; below it, what is wrong with a run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    table.add_column("run", overflow="fold")
    table.add_column("task")
    table.add_column("started", style="dim")
    saved = ("saved",) if frame["saved"].gt(0).any() else ()
    others = (*list(STATES.values())[1:], *saved)
    for title in ("finished", *others, "best"):
        table.add_column(title.replace("_", " "), justify="right")
    rows = frame.astype("object").to_dict("records")
    table.caption = Text("\n".join(f"{row['run']}: {row['trouble']}" for row in rows if row["trouble"]), "red")
    for row in rows:
        if pd.isna(row["asked"]):
            table.add_row(str(row["run"]), Text("?", "red"))
            continue
        finished = f"{row['finished']} of {row['asked']}"
        counts = (str(row[title]) if row[title] else "·" for title in others)
        started = str(row["started"])[:16].replace("T", " ")
        table.add_row(Text(str(row["run"]), "bold"), str(row["task"]), started, finished, *counts, str(row["written"]))
    return table


def _row_or_trouble(run: Run) -> dict[str, Any]:
    """Return the row of a run, or of one that cannot be read with the reason alone."""
    with warnings.catch_warnings(record=True, action="always", category=DamagedRecord) as damages:
        try:
            row: dict[str, Any] | str = _row(run)
        except NasError as error:
            row = str(error)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one run, the others are shown
            row = f"it is damaged: {type(error).__name__}: {message_of(error, 200)}"
    if isinstance(row, str):
        return dict.fromkeys(COLUMNS) | {"run": run.name, "trouble": row}
    return row | {"trouble": "; ".join(dict.fromkeys(str(one.message) for one in damages))}


def _row(run: Run) -> dict[str, Any]:
    trials, goals = run.frame(), run.space.goals
    board, tally = ranked_rows(trials, goals), states(trials[trials["reused"].isna()])
    first = None if board.empty else board.iloc[0]
    value = float(first["expected"]) if first is not None else None
    written = units.MISSING if value is None else f"{unit_of(board, goals, goals.metric).show(value)} {goals.metric}"
    controls = trials["baseline"].notna() & trained(trials)
    return {
        "run": run.name,
        "task": run.space.task.name,
        "started": run.created,
        "asked": run.space.search.trials + int(controls.sum()),
        **{title: tally.get(state, 0) for state, title in STATES.items()},
        "saved": run.saved,
        "trial": int(first["trial"]) if first is not None else None,
        "metric": goals.metric,
        "best": value,
        "written": written,
    }
