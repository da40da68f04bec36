"""A run on digits in whose study the trials of a made-up search are recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import optuna

from nas.study import Run
from tests.helpers.analysis_trials import WINNER

SPACE: dict[str, Any] = {
    "task": "digits",
    "network": {
        "stem": {"op": "conv3x3", "width": 16},
        "stages": [{"blocks": 4, "op": "basic", "width": 16}],
        "head": "classify",
    },
    "search": {"trials": 12, "baselines": ["plain"], "objectives": ["accuracy", "params"]},
}


def recorded(row: dict[str, Any]) -> optuna.trial.FrozenTrial:
    """A row of a frame as the search would have recorded it; it was trained from `started` to `ended`."""
    row = {name: None if value != value else value for name, value in row.items()}
    known = {name: row[name] for name in ("topology", "line", "key", "baseline", "seed", "curve")}
    known |= {"predicted": {name: row[name] for name in ("params", "memory", "flops")}}
    done = row["state"] == "COMPLETE"
    known |= {"metrics": {"accuracy": row["accuracy"]}, "measured": {"seconds": row["seconds"]}} if done else {}
    known |= {"reason": row["reason"]} if row["state"] == "FAIL" else {}
    values = [row["accuracy"], row["params"]] if done else None
    made = optuna.trial.create_trial(state=optuna.trial.TrialState[row["state"]], values=values, user_attrs=known)
    made.datetime_start, made.datetime_complete = row["started"].to_pydatetime(), row["ended"].to_pydatetime()
    return made


def add_running(run: Run, began: datetime, reported: dict[int, float], **known: Any) -> int:
    """Add a trial that is being trained since then, with the metric of each epoch so far; return its number."""
    record = {
        "topology": WINNER.to_dict(),
        "line": WINNER.describe(),
        "key": WINNER.key,
        "predicted": {"params": 4567},
    } | known
    made = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING, user_attrs=record, intermediate_values=reported
    )
    made.datetime_start = began.astimezone().replace(tzinfo=None)
    run.study.add_trial(made)
    return len(run.study.get_trials(deepcopy=False)) - 1
