"""The leaderboard: every candidate that was trained to the end, best first, beside the baselines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas import units
from nas.analysis.goals import Goals
from nas.analysis.marks import marks
from nas.errors import OverLimits, RunError, TopologyError, expected
from nas.study.pareto import pareto_rank
from nas.study.states import REFUSED, STATE_WORDS
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.study import Run

COSTS = ("params", "memory", "flops", "latency", "seconds")  # of every candidate besides the metric; less is better
WHOLE = ("params", "memory", "flops")
TITLES = {"params": "params", "memory": "memory", "flops": "FLOPs", "latency": "latency", "seconds": "time"}


def leaderboard(
    run: Run | pd.DataFrame, *, goals: Goals | None = None, by: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """The finished candidates, best first, and every baseline whatever became of it.

    Columns: rank, trial, name (of a baseline, else ""), topology, skips, the task's metric, params, memory
    [bytes], flops (per sample), latency [s], seconds, pareto (1 is the non-dominated front), state, reason, key,
    feasible (it breaks no constraint; what does comes after all that do not, and is on no front), seeds, sd. A
    topology that was evaluated with several seeds is one row, that of its first trial, with the means over the seeds
    and the standard deviation sd of the metric. `by` is the
    metric (the default), a cost or `pareto`; ties go to fewer parameters, then to the earlier trial. Only
    COMPLETE trials have a rank; baselines beyond `top` and baselines that did not finish follow the ranked rows.
    `goals` are needed where a frame is given. Raises RunError for an unknown `by`.
    """
    frame, goals = _frame(run, goals)
    board = leaderboard_rows(frame, goals)
    done = board["state"] == "COMPLETE"
    ranked = _ranked(_over_seeds(board[done], goals), goals, by or goals.metric)
    unfinished = board[~done & (board["name"] != "") & ~board["name"].isin(ranked["name"])]
    unfinished = unfinished.drop_duplicates("name", keep="last")
    if top is not None:
        ranked = ranked[(ranked["rank"] <= top) | (ranked["name"] != "")]
    return pd.concat([ranked, unfinished], ignore_index=True)


def states(run: Run | pd.DataFrame) -> dict[str, int]:
    """How many trials ended (or are) in each state, in the order of STATE_WORDS, without the states of none.

    A FAIL that was over the limits, and so was never trained, is counted as REFUSED.
    """
    frame = _frame(run, _ANY)[0]
    counts = frame["state"].where(~_refused(frame), REFUSED).value_counts()
    return {state: int(counts[state]) for state in STATE_WORDS if state in counts}


def failures(run: Run | pd.DataFrame) -> pd.DataFrame:
    """The candidates whose training failed: trial, name, topology, reason, in the order of their trials."""
    frame = _frame(run, _ANY)[0]
    failed = frame[(frame["state"] == "FAIL") & ~_refused(frame)]
    named = {"trial": failed["trial"], "name": _text(failed["baseline"]), "topology": _text(failed["line"])}
    return pd.DataFrame(named | {"reason": _text(failed["reason"])}).sort_values("trial", ignore_index=True)


def _refused(frame: pd.DataFrame) -> pd.Series[bool]:
    return (frame["state"] == "FAIL") & _text(frame["reason"]).str.startswith(OverLimits.reason)


def formats(board: pd.DataFrame, goals: Goals) -> dict[str, Callable[[float | None], str]]:
    """How the metric and every cost of a leaderboard (latency only where it was measured) are written; a metric within
    0 … 1 to maximise is a share.
    """
    values = board[goals.metric].dropna()
    is_share = goals.direction(goals.metric) == "maximize" and bool(values.between(0, 1).all())
    metric = units.share if is_share else units.number
    shows = (units.count, units.memory, units.count, units.latency, units.duration)
    costs = dict(zip(COSTS, shows, strict=True))
    if board["latency"].isna().all():
        del costs["latency"]
    return {goals.metric: metric} | costs


def best(board: pd.DataFrame, goals: Goals, column: str) -> float:
    """The best value that a finished candidate reached in a column; NaN where there is none."""
    values = board.loc[board["state"] == "COMPLETE", column].astype("float64")
    return float(values.max() if goals.direction(column) == "maximize" else values.min())


_ANY = Goals("accuracy", {})


def _frame(run: Run | pd.DataFrame, goals: Goals | None) -> tuple[pd.DataFrame, Goals]:
    if isinstance(run, pd.DataFrame):
        if goals is None:
            raise TypeError("a frame does not know its goals: leaderboard(frame, goals=...)")
        return run, goals
    return run.frame(), goals or Goals.of(run)


def leaderboard_rows(frame: pd.DataFrame, goals: Goals) -> pd.DataFrame:
    """The columns of a leaderboard for all trials, in the order of the record."""
    numbers: dict[str, pd.Series] = {
        column: pd.to_numeric(frame[column]).astype("float64") for column in (goals.metric, *COSTS)
    }
    numbers |= {column: numbers[column].round().astype("Int64") for column in WHOLE}
    return pd.DataFrame(
        {
            "rank": pd.Series(pd.NA, index=frame.index, dtype="Int64"),
            "trial": frame["trial"].astype("int64"),
            "name": _text(frame["baseline"]),
            "topology": _text(frame["line"]),
            "skips": pd.Series([_marks(data) for data in frame["topology"]], index=frame.index, dtype="str"),
            **numbers,
            "pareto": pd.Series(pd.NA, index=frame.index, dtype="Int64"),
            "state": frame["state"].astype("str"),
            "reason": _text(frame["reason"]),
            "key": _text(frame["key"]),
            "feasible": _feasible(frame, goals),
            "seeds": pd.Series(1, index=frame.index, dtype="int64"),
            "sd": pd.Series(math.nan, index=frame.index, dtype="float64"),
        }
    )


def _feasible(frame: pd.DataFrame, goals: Goals) -> pd.Series[bool]:
    """Whether nothing that is known of a candidate is over a constraint."""
    over = [pd.to_numeric(frame[name]).astype("float64") > bound for name, bound in goals.constraints.items()]
    return ~pd.concat([pd.Series(False, index=frame.index), *over], axis=1).any(axis=1)


def _over_seeds(board: pd.DataFrame, goals: Goals) -> pd.DataFrame:
    """One row for each topology."""
    whose = board["key"].where(board["key"] != "", board["trial"].astype("str"))
    if whose.is_unique:
        return board
    same, first = board.groupby(whose, sort=False), ~whose.duplicated()
    means = {column: same[column].transform("mean") for column in (goals.metric, "latency", "seconds")}
    spread = {"seeds": same["trial"].transform("size"), "sd": same[goals.metric].transform("std")}
    return board.assign(**means, **spread, feasible=same["feasible"].transform("all"))[first]


def _ranked(board: pd.DataFrame, goals: Goals, by: str) -> pd.DataFrame:
    columns = (goals.metric, *COSTS, "pareto")
    if by not in columns:
        raise RunError(expected("--by", by, columns))
    objectives = {name: way for name, way in goals.objectives.items() if name in board}
    points = board[[*objectives]].astype("float64").where(board["feasible"])
    fronts = pd.Series(pareto_rank(points, [*objectives.values()]), board.index, dtype="Int64")
    board = board.assign(pareto=fronts.where(fronts > 0))
    keys = dict.fromkeys(["feasible", by, goals.metric, "params", "trial"])
    rising = [key != "feasible" and goals.direction(key) == "minimize" for key in keys]
    board = board.sort_values([*keys], ascending=rising, na_position="last", ignore_index=True)
    return board.assign(rank=pd.array(range(1, len(board) + 1), dtype="Int64"))


def _text(column: pd.Series[Any]) -> pd.Series[str]:
    return column.astype("object").where(column.notna(), "").astype("str")


def _marks(data: object) -> str:
    """The skips of a recorded topology; nothing where the record holds none that can be read."""
    try:
        return marks(Topology.from_dict(data))
    except TopologyError:
        return ""
