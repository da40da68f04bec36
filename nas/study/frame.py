"""The data frame of a run, which has one row for each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas.space import Goals
from nas.study.attributes import (
    BASELINE,
    CURVE,
    KEY,
    LINE,
    PROXIES,
    REASON,
    REUSED,
    SEED,
    TOPOLOGY,
    reason_of,
    recorded,
    value_of,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FACTS = ("trial", "state", "reason", "baseline", "key", "line")
COURSE = ("epochs", "seed", "started", "ended", "reused", "curve", "topology", "proxies")


def frame_of(trials: Sequence[FrozenTrial], goals: Goals) -> pd.DataFrame:
    """Return a data frame with a row for each trial, and with the columns that Run.frame lists."""
    rows = [_row(trial, goals) for trial in trials]
    frame = pd.DataFrame(rows, columns=[*FACTS, *goals.columns, *COURSE])
    for column in ("started", "ended"):
        frame[column] = pd.to_datetime(frame[column])
    return frame


def _row(trial: FrozenTrial, goals: Goals) -> dict[str, Any]:
    known = recorded(trial)
    curve = known.get(CURVE)
    curve = curve if isinstance(curve, list) else []
    row = {"trial": trial.number, "state": trial.state.name, "topology": known.get(TOPOLOGY)}
    row |= {name: _text(known.get(name)) for name in (BASELINE, KEY, LINE)}
    row |= {REASON: reason_of(trial, known), SEED: known.get(SEED)}
    row |= {name: value_of(objective, known) for name, objective in goals.columns.items()}
    row |= {"curve": curve, "epochs": len(curve), "reused": _origin(known.get(REUSED)), "proxies": known.get(PROXIES)}
    return row | {"started": trial.datetime_start, "ended": trial.datetime_complete}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _origin(reused: object) -> str | None:
    """Return RUN/TRIAL, as commands take it; None if the attribute is missing or damaged."""
    return f"{reused.get('run')}/{reused.get('trial')}" if isinstance(reused, Mapping) else None
