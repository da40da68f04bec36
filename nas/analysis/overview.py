"""A table of runs, one row for each, for `nas list` and `nas status --csv`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.ranking import formats, leaderboard, states, trained
from nas.errors import NasError
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
    person), trouble (why a run cannot be read).
    """
    frame = pd.DataFrame([_row(run) for run in runs], columns=list(COLUMNS))
    whole = dict.fromkeys(("asked", *STATES.values(), "saved", "trial"), "Int64")
    return frame.astype(whole | {"best": "float64"})


def runs_table(frame: pd.DataFrame) -> Table:
    """Return the same as a table for a terminal; below it, why a run cannot be read."""
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
        if row["trouble"]:
            table.add_row(str(row["run"]), Text("?", "red"))
            continue
        finished = f"{row['finished']} of {row['asked']}"
        counts = (str(row[title]) if row[title] else "·" for title in others)
        started = str(row["started"])[:16].replace("T", " ")
        table.add_row(Text(str(row["run"]), "bold"), str(row["task"]), started, finished, *counts, str(row["written"]))
    return table


def _row(run: Run) -> dict[str, Any]:
    try:
        trials, goals = run.frame(), run.space.goals
    except NasError as error:
        return dict.fromkeys(COLUMNS) | {"run": run.name, "trouble": str(error)}
    board, tally = leaderboard(trials, goals=goals), states(trials[trials["reused"].isna()])
    done = not board.empty and not pd.isna(board["rank"].iloc[0])
    first = board.iloc[0] if done else None
    value = float(first["expected"]) if first is not None else None
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
        "written": f"{formats(board, goals)[goals.metric](value)} {goals.metric}" if done else units.MISSING,
        "trouble": "",
    }
