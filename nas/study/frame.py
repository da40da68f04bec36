"""The data frame of a run: every trial as a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas.study.attributes import (
    BASELINE,
    CURVE,
    KEY,
    LINE,
    MEASURED,
    METRICS,
    PREDICTED,
    PROXIES,
    REASON,
    REUSED,
    SEED,
    TOPOLOGY,
    number,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FACTS = ("trial", "state", "reason", "baseline", "key", "line")
COSTS = ("params", "memory", "flops", "latency", "seconds")
COURSE = ("epochs", "seed", "started", "ended", "reused", "curve", "topology", "proxies")


def frame_of(trials: Sequence[FrozenTrial], metric: str) -> pd.DataFrame:
    """Every trial as a row: see Run.frame."""
    frame = pd.DataFrame([_row(trial, metric) for trial in trials], columns=[*FACTS, metric, *COSTS, *COURSE])
    for column in ("started", "ended"):
        frame[column] = pd.to_datetime(frame[column])
    return frame


def _row(trial: FrozenTrial, metric: str) -> dict[str, Any]:
    known = trial.user_attrs
    predicted, measured, curve = known.get(PREDICTED), known.get(MEASURED), known.get(CURVE)
    curve = curve if isinstance(curve, list) else []
    row = {"trial": trial.number, "state": trial.state.name, "topology": known.get(TOPOLOGY)}
    row |= {name: known.get(name) for name in (REASON, BASELINE, KEY, LINE, SEED)}
    row |= {metric: number(known.get(METRICS), metric), **{n: number(measured, n) for n in ("latency", "seconds")}}
    row |= {name: number(predicted, name) for name in ("params", "memory", "flops")}
    row |= {"curve": curve, "epochs": len(curve), "reused": _origin(known.get(REUSED)), "proxies": known.get(PROXIES)}
    return row | {"started": trial.datetime_start, "ended": trial.datetime_complete}


def _origin(reused: object) -> str | None:
    """RUN/TRIAL, as the commands take it."""
    return f"{reused.get('run')}/{reused.get('trial')}" if isinstance(reused, Mapping) else None
